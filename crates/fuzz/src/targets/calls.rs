//! Calls of the file server.

use std::fs;
use std::sync::OnceLock;

use podlab_nfs::{Encoder, Service, read_record};

/// A service of a directory with a little in it, made once: inputs may change it, and it stays small, for none is long.
fn service() -> &'static (Service, tempfile::TempDir) {
    static SERVICE: OnceLock<(Service, tempfile::TempDir)> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("exported/shelf")).unwrap();
        fs::write(directory.path().join("exported/shelf/book"), "words").unwrap();
        fs::write(directory.path().join("outside"), "untouched").unwrap();
        (Service::new("/exports", &directory.path().join("exported")).unwrap(), directory)
    })
}

/// A stream of records. What answers begins with the number of the call; nothing beside the exported directory changes.
pub(crate) fn nfs(bytes: &[u8]) {
    let (service, directory) = service();
    let (mut stream, mut record) = (bytes, Vec::new());
    while matches!(read_record(&mut stream, &mut record), Ok(true)) {
        assert!(record.len() <= podlab_nfs::LIMIT);
        if let Some(reply) = service.answer(&record) {
            assert_eq!(reply[..4], record[..4]);
            assert!(reply.len() % 4 == 0 && reply.len() <= podlab_nfs::LIMIT);
        }
    }
    assert_eq!(fs::read(directory.path().join("outside")).unwrap(), b"untouched");
}

/// Each procedure, called with the handle of the root and arguments that suit several.
pub(crate) fn nfs_seeds() -> Vec<Vec<u8>> {
    let record = |program: u32, procedure: u32, arguments: &dyn Fn(&mut Encoder)| {
        let mut call = Encoder::new();
        call.u32(1).u32(0).u32(2).u32(program).u32(3).u32(procedure).u32(0).u32(0).u32(0).u32(0);
        arguments(&mut call);
        let call = call.into_bytes();
        let mut stream = Encoder::new();
        stream.u32(1 << 31 | u32::try_from(call.len()).unwrap()).fixed(&call);
        stream.into_bytes()
    };
    let mount = record(100_005, 1, &|call| {
        call.opaque(b"/exports/shelf");
    });
    let reply = service().0.answer(&mount[4..]).unwrap();
    let handle = reply[28..reply.len() - 8].to_vec();
    let handle = podlab_nfs::Decoder::new(&handle).opaque(64).unwrap().to_vec();
    let with_name = |call: &mut Encoder| {
        call.opaque(&handle).opaque(b"book").u32(0).u32(0).u32(0).u32(0).u32(0).u32(0);
    };
    let with_numbers = |call: &mut Encoder| {
        call.opaque(&handle).u64(0).fixed(&[0; 8]).u32(4096).u32(4096);
    };
    let calls = (0..22)
        .flat_map(|procedure| [record(100_003, procedure, &with_name), record(100_003, procedure, &with_numbers)]);
    calls.chain([mount]).collect()
}
