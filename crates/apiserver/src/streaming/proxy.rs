//! `proxy`: HTTP to a Pod, a Service, or a node, through the API server.
//!
//! Every request gets a connection of its own, which ends with the answer: what a Pod refuses to upgrade leaves nothing
//! behind that another request could go through. Redirects are the client's business.

use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderName, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use podlab_api::error::ApiError;
use serde_json::Value;
use tokio::io::copy_bidirectional;

use super::node::{self, NodeError, segment};
use super::pod::Place;
use crate::http::{Answer, Call, Target, find, place_of};
use crate::node::NodeStream;
use crate::server::Body;
use crate::store::{GroupResource, Key, Range};

/// What speaks about one connection only, and what would give the client's credentials away.
const NOT_PASSED_ON: [HeaderName; 8] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, AUTHORIZATION];
const SLICES: GroupResource = GroupResource { group: "discovery.k8s.io", resource: "endpointslices" };

pub(crate) async fn proxy(call: &mut Call, target: &Target) -> Answer {
    let Some(path) = target.rest.as_deref().filter(|path| path.starts_with('/')) else {
        return Ok(with_slash(&call.parts));
    };
    let path = match call.parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let path: PathAndQuery =
        path.parse().map_err(|_| ApiError::BadRequest("the path to be proxied is none".to_owned()))?;
    let name = Name::parse(target.name());
    let plain = Target { name: Some(name.name.to_owned()), ..target.clone() };
    match target.resource.plural {
        "nodes" => {
            find(call, &plain)?;
            let stream = call.server.inner.nodes.dial(name.name).await;
            let stream = stream.map_err(|error| ApiError::Unavailable(error.to_string()))?;
            pass(call, stream, path).await
        }
        "pods" => {
            let pod = find(call, &plain)?.value();
            let port = pod_port(&pod, name.port)?;
            to_pod(call, target.namespace(), name.name, port, path).await
        }
        _ => {
            let service = find(call, &plain)?.value();
            let (pod, port) = endpoint(call, target.namespace(), name.name, &service, name.port)?;
            to_pod(call, target.namespace(), &pod, port, path).await
        }
    }
}

/// `NAME`, `NAME:PORT`, or `SCHEME:NAME:PORT`.
struct Name<'a> {
    name: &'a str,
    port: &'a str,
}

impl<'a> Name<'a> {
    fn parse(text: &'a str) -> Self {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            [name, port] | [_, name, port] => Self { name, port },
            _ => Self { name: text, port: "" },
        }
    }
}

/// A relative link on the page at `…/proxy` would lead beside it.
fn with_slash(parts: &Parts) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{query}", parts.uri.path())) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// A port by its number, or by its name in a container; the first that a container declares when none is named.
fn pod_port(pod: &Value, wanted: &str) -> Result<u16, ApiError> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut declared = containers.flat_map(|container| container["ports"].as_array()).flatten();
    let number = |port: &Value| port["containerPort"].as_u64().and_then(|port| u16::try_from(port).ok());
    if wanted.is_empty() {
        return Ok(declared.find_map(number).unwrap_or(80));
    }
    if let Ok(port) = wanted.parse() {
        return Ok(port);
    }
    let named = declared.find(|port| port["name"] == *wanted).and_then(number);
    named.ok_or_else(|| ApiError::BadRequest(format!("no container has a port named {wanted:?}")))
}

/// A ready Pod behind a Service, and its port.
fn endpoint(
    call: &Call,
    namespace: &str,
    name: &str,
    service: &Value,
    wanted: &str,
) -> Result<(String, u16), ApiError> {
    let ports = service["spec"]["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let matches = |port: &&Value| {
        wanted.is_empty()
            || port["name"] == *wanted
            || port["port"].as_u64().is_some_and(|port| port.to_string() == wanted)
    };
    let none = || ApiError::Unavailable(format!("no endpoints available for service {name:?}"));
    let port = ports.iter().find(matches).ok_or_else(none)?;
    let port_name = port["name"].as_str().unwrap_or_default();
    let range = Range { namespace: Some(namespace), ..Range::default() };
    for slice in call.server.store().list(SLICES, &range).objects {
        let slice = slice.value();
        if slice["metadata"]["labels"]["kubernetes.io/service-name"] != *name {
            continue;
        }
        let of_slice = slice["ports"].as_array().into_iter().flatten();
        let number = of_slice
            .filter(|port| port["name"].as_str().unwrap_or_default() == port_name)
            .find_map(|port| port["port"].as_u64().and_then(|port| u16::try_from(port).ok()));
        let ready =
            |endpoint: &&Value| endpoint["conditions"]["ready"] != false && endpoint["targetRef"]["kind"] == "Pod";
        let pod = slice["endpoints"].as_array().into_iter().flatten().find(ready);
        let pod = pod.and_then(|endpoint| endpoint["targetRef"]["name"].as_str());
        if let (Some(pod), Some(number)) = (pod, number) {
            return Ok((pod.to_owned(), number));
        }
    }
    Err(none())
}

async fn to_pod(call: &mut Call, namespace: &str, pod: &str, port: u16, path: PathAndQuery) -> Answer {
    let key = Key::new(place_of("pods"), namespace, pod);
    let found = call.server.store().get(&key).map(|pod| pod.value()).unwrap_or_default();
    let place = Place {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        container: String::new(),
        node: found["spec"]["nodeName"].as_str().unwrap_or_default().to_owned(),
    };
    place.require_node()?;
    let forward = format!("/portForward/{}/{}?port={port}", segment(namespace), segment(pod));
    match node::upgrade(&call.server, &place.node, &forward).await {
        Ok(stream) => pass(call, Box::new(stream), path).await,
        Err(NodeError::Refused(_, text) | NodeError::Unreachable(text)) => {
            Err(ApiError::Unavailable(format!("error trying to reach service: {text}")))
        }
    }
}

/// Sends the request on, and the answer back.
async fn pass(call: &mut Call, stream: Box<dyn NodeStream>, path: PathAndQuery) -> Answer {
    let unreachable =
        |error: &dyn std::fmt::Display| ApiError::Unavailable(format!("error trying to reach service: {error}"));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    let server = call.server.clone();
    server.inner.tasks.clone().spawn(async move {
        tokio::select! {
            // An error here shows in the answer as well.
            _ = connection.with_upgrades() => {}
            () = server.inner.stopping.cancelled() => {}
        }
    });
    let mut request = Request::new(call.take_body());
    *request.method_mut() = call.parts.method.clone();
    *request.uri_mut() = path.into();
    *request.headers_mut() = passed_on(&call.parts.headers);
    let upgrading = call.parts.headers.get(UPGRADE).cloned();
    if let Some(protocol) = &upgrading {
        request.headers_mut().insert(UPGRADE, protocol.clone());
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    if !request.headers().contains_key(HOST) {
        let host = call.parts.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        request.headers_mut().insert(HOST, host.unwrap_or(HeaderValue::from_static("localhost")));
    }
    let mut response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(client) = call.parts.extensions.remove::<OnUpgrade>().filter(|_| upgrading.is_some()) else {
            return Err(unreachable(&"the answer switches protocols, and nobody asked for that"));
        };
        let pod = hyper::upgrade::on(&mut response);
        tie(call, client, pod);
        let (mut parts, _) = response.into_parts();
        // Both connections go on as they are: these headers are the client's to read.
        parts.extensions.clear();
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let (parts, body) = response.into_parts();
    let mut answer = Response::new(Body::new(body));
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = passed_on(&parts.headers);
    Ok(answer)
}

/// Passes bytes between two upgraded connections until one ends.
fn tie(call: &Call, client: OnUpgrade, pod: OnUpgrade) {
    let stopping = call.server.inner.stopping.clone();
    call.server.inner.tasks.spawn(async move {
        let (Ok(client), Ok(pod)) = (client.await, pod.await) else { return };
        let (mut client, mut pod) = (TokioIo::new(client), TokioIo::new(pod));
        tokio::select! {
            // Either side may simply leave.
            _ = copy_bidirectional(&mut client, &mut pod) => {}
            () = stopping.cancelled() => {}
        }
    });
}

/// The headers that are not about one connection.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        if !NOT_PASSED_ON.contains(name) && !named.contains(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_carry_ports() {
        let parsed = |text| {
            let name = Name::parse(text);
            (name.name.to_owned(), name.port.to_owned())
        };
        assert_eq!(parsed("kuard"), ("kuard".into(), String::new()));
        assert_eq!(parsed("kuard:http"), ("kuard".into(), "http".into()));
        assert_eq!(parsed("https:kuard:8443"), ("kuard".into(), "8443".into()));
        let pod =
            json!({"spec": {"containers": [{"name": "a"}, {"ports": [{"name": "http", "containerPort": 8080}]}]}});
        assert_eq!(pod_port(&pod, "").unwrap(), 8080);
        assert_eq!(pod_port(&pod, "http").unwrap(), 8080);
        assert_eq!(pod_port(&pod, "81").unwrap(), 81);
        assert!(pod_port(&pod, "nope").is_err());
        assert_eq!(pod_port(&json!({"spec": {}}), "").unwrap(), 80);
    }

    #[test]
    fn credentials_and_connection_headers_stay_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("authorization", "Bearer x"), ("connection", "close, x-hop"), ("x-hop", "1"), ("accept", "*/*")]
        {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let kept = passed_on(&headers);
        assert_eq!(kept.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
