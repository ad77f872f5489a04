//! `pods/NAME/exec` and `attach`: over WebSocket (kubectl from 1.30 on), or SPDY (all before).

use podlab_api::error::ApiError;

use super::node::segment;
use super::pod::Place;
use super::{spdy, websocket};
use crate::http::{Answer, Call, Target};

/// What a client wants streamed, and where from.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) node: String,
    /// The path to ask the node for.
    pub(super) path: String,
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
}

pub(crate) async fn exec(call: &mut Call, target: &Target, action: &str) -> Answer {
    let place = Place::of(call, target)?;
    let session = session(call, &place, action)?;
    if websocket::is_upgrade(&call.parts) {
        return websocket::exec(call, session).await;
    }
    if spdy::is_upgrade(&call.parts) {
        return spdy::exec(call, session).await;
    }
    Err(ApiError::BadRequest("Upgrade request required".to_owned()))
}

fn session(call: &Call, place: &Place, action: &str) -> Result<Session, ApiError> {
    place.require_node()?;
    let query = &call.query;
    let tty = query.flag("tty");
    // With a terminal, both outputs are one.
    let (stdin, stdout, stderr) = (query.flag("stdin"), query.flag("stdout"), query.flag("stderr") && !tty);
    if !(stdin || stdout || stderr) {
        return Err(ApiError::BadRequest("you must specify at least 1 of stdin, stdout, stderr".to_owned()));
    }
    let mut parameters = form_urlencoded::Serializer::new(String::new());
    if action == "exec" {
        if query.all("command").next().is_none() {
            return Err(ApiError::BadRequest("you must specify at least one command".to_owned()));
        }
        for command in query.all("command") {
            parameters.append_pair("command", command);
        }
    }
    for (name, wanted) in [("stdin", stdin), ("stdout", stdout), ("stderr", stderr), ("tty", tty)] {
        if wanted {
            parameters.append_pair(name, "1");
        }
    }
    let path = format!(
        "/{action}/{}/{}/{}?{}",
        segment(&place.namespace),
        segment(&place.pod),
        segment(&place.container),
        parameters.finish()
    );
    Ok(Session { node: place.node.clone(), path, stdin, stdout, stderr, tty })
}
