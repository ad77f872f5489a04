//! A namespace for one grading, and its end.

use std::sync::LazyLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use podlab_client::{Client, DeleteOptions, Error, ListOptions};

use crate::api::{Kind, ObjectName, WaitError};
use crate::condition::Expression;

/// How long the cluster may take to make a namespace usable, and to take it away. The verdict does not wait for that.
const PATIENCE: Duration = Duration::from_secs(120);

static THERE: LazyLock<Expression> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant, and the tests use it")]
    Expression::compile("object != null").unwrap()
});

static GONE: LazyLock<Expression> = LazyLock::new(|| {
    #[expect(clippy::unwrap_used, reason = "a constant, and the tests use it")]
    Expression::compile("object == null").unwrap()
});

/// Makes a namespace with a name that nobody has, in which Pods can be created.
pub(super) async fn create(client: &Client, exercise: &str) -> Result<String, WaitError> {
    let suffix = uuid::Uuid::new_v4().simple().to_string();
    let name = format!("check-{exercise}-{}", &suffix[..8]);
    let namespace =
        Namespace { metadata: ObjectMeta { name: Some(name.clone()), ..Default::default() }, ..Default::default() };
    client.create(&namespace).await.map_err(WaitError::Api)?;
    // Pods are refused until the namespace has its service account.
    let account = ObjectName { kind: Kind::ServiceAccount, name: "default".to_owned() };
    account.wait(client, &name, &THERE, PATIENCE).await?;
    Ok(name)
}

/// Deletes the namespace with all that is in it, without waiting for any grace period.
pub(super) async fn delete(client: &Client, name: &str) -> Result<(), WaitError> {
    let now = DeleteOptions::default().grace(0);
    let pods = client.list::<Pod>(name, &ListOptions::default()).await.map_err(WaitError::Api)?;
    for pod in &pods.items {
        let pod = pod.metadata.name.as_deref().unwrap_or_default();
        tolerate_absence(client.delete::<Pod>(name, pod, &now).await)?;
    }
    tolerate_absence(client.delete::<Namespace>(None, name, &DeleteOptions::default()).await)?;
    let namespace = ObjectName { kind: Kind::Namespace, name: name.to_owned() };
    namespace.wait(client, name, &GONE, PATIENCE).await.map(|_| ())
}

fn tolerate_absence<T>(result: Result<T, Error>) -> Result<(), WaitError> {
    match result {
        Err(error) if !error.is_not_found() => Err(WaitError::Api(error)),
        _ => Ok(()),
    }
}
