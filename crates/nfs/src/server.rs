//! Connections: each has a thread, and one call at a time.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use crate::record;
use crate::service::Service;

/// More connections than the nodes of a large cluster need: each has one a mount.
const MOST_CONNECTIONS: usize = 256;
/// One node or Pod is not to take them all.
const MOST_OF_ONE: usize = 16;
/// A client that says nothing for so long connects again when it has something to say; Linux does after five minutes.
const SILENCE: Duration = Duration::from_secs(600);

/// Who is connected, and how often.
#[derive(Debug, Default)]
struct Connected(Mutex<HashMap<IpAddr, usize>>);

/// A place of one connection, free again when it is dropped.
struct Place {
    connected: Arc<Connected>,
    address: IpAddr,
}

impl Connected {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.values().sum::<usize>() >= MOST_CONNECTIONS {
            return None;
        }
        let of_this = clients.entry(address).or_default();
        if *of_this >= MOST_OF_ONE {
            return None;
        }
        *of_this += 1;
        Some(Place { connected: Arc::clone(self), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.connected.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.address);
            }
        }
    }
}

/// Serves everybody who connects, until the listener fails: its network is gone.
///
/// # Errors
///
/// That failure.
pub fn serve(listener: &TcpListener, service: &Arc<Service>) -> io::Result<()> {
    let connected = Arc::new(Connected::default());
    loop {
        let (connection, address) = match listener.accept() {
            Ok(accepted) => accepted,
            // The client changed its mind, or there is no room for a descriptor right now.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NFILE | Errno::MFILE)) => {
                #[expect(clippy::disallowed_methods, reason = "nobody tells when there is room again")]
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // Who is one too many hears the connection close.
        let Some(place) = connected.enter(address.ip()) else { continue };
        let service = Arc::clone(service);
        let started = std::thread::Builder::new().name("nfs client".to_owned()).spawn(move || {
            let _place = place;
            // A client that ends, or speaks something else, is nobody's trouble but its own.
            let _ = converse(connection, &service);
        });
        drop(started);
    }
}

fn converse(mut connection: TcpStream, service: &Service) -> Result<(), record::RecordError> {
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(SILENCE))?;
    connection.set_write_timeout(Some(SILENCE))?;
    let mut record = Vec::new();
    while record::read(&mut connection, &mut record)? {
        let Some(reply) = service.answer(&record) else { break };
        record::write(&mut connection, &reply)?;
    }
    Ok(())
}
