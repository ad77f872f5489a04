//! The server over TCP, as a client sees it.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod client;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use client::{Client, MOUNT, NFS, attributes, handle, serve, skip_attributes};
use podlab_nfs::{Encoder, LIMIT};
use proptest::prelude::*;

const NO_ENTRY: u32 = 2;
const PERMISSION: u32 = 1;
const EXISTS: u32 = 17;
const NOT_DIRECTORY: u32 = 20;
const INVALID: u32 = 22;
const NOT_EMPTY: u32 = 66;
const STALE: u32 = 70;
const BAD_HANDLE: u32 = 10001;
const NOT_SUPPORTED: u32 = 10004;

#[test]
fn the_life_of_a_file() {
    let exported = tempfile::tempdir().unwrap();
    let (mut client, root) = Client::mounted(serve(exported.path()));

    let directory = client.make_directory(&root, "shelf").unwrap();
    let file = client.create(&directory, "book", 0o640).unwrap();
    assert_eq!(client.create(&directory, "book", 0o640), Err(EXISTS));
    client.write(&file, 0, b"hello, ").unwrap();
    client.write(&file, 7, b"world").unwrap();
    let path = exported.path().join("shelf/book");
    assert_eq!(fs::read(&path).unwrap(), b"hello, world");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(client.read(&file, 0, 5), Ok((b"hello".to_vec(), false)));
    assert_eq!(client.read(&file, 7, 100), Ok((b"world".to_vec(), true)));
    assert_eq!(client.read(&file, u64::MAX, 100), Ok((Vec::new(), true)));

    // Another name, a link, and a new place.
    client
        .nfs(
            15,
            |call| {
                call.opaque(&file).opaque(&root).opaque(b"twin");
            },
            |_| (),
        )
        .unwrap();
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 2);
    let link = |call: &mut Encoder| {
        call.opaque(&root).opaque(b"pointer");
        attributes(call, None, None);
        call.opaque(b"shelf/book");
    };
    client.nfs(10, link, |_| ()).unwrap();
    let pointer = client.look_up(&root, "pointer").unwrap();
    let target = client.nfs(
        5,
        |call| {
            call.opaque(&pointer);
        },
        |reply| {
            skip_attributes(reply);
            reply.opaque(100).unwrap().to_vec()
        },
    );
    assert_eq!(target.unwrap(), b"shelf/book");
    let rename = |call: &mut Encoder| {
        call.opaque(&directory).opaque(b"book").opaque(&root).opaque(b"novel");
    };
    client.nfs(14, rename, |_| ()).unwrap();
    assert_eq!(client.look_up(&root, "novel"), Ok(file.clone()), "a new name is no new file");
    assert_eq!(client.look_up(&directory, "book"), Err(NO_ENTRY));
    let names: BTreeSet<_> = client.names(&root, 4096, true).unwrap().into_iter().collect();
    assert_eq!(names, [".", "..", "novel", "pointer", "shelf", "twin"].map(str::to_owned).into());

    // What is in use stays.
    assert_eq!(
        client.nfs(
            13,
            |call| {
                call.opaque(&root).opaque(b"novel");
            },
            |_| ()
        ),
        Err(NOT_DIRECTORY)
    );
    client.create(&directory, "bookmark", 0o600).unwrap();
    assert_eq!(
        client.nfs(
            13,
            |call| {
                call.opaque(&root).opaque(b"shelf");
            },
            |_| ()
        ),
        Err(NOT_EMPTY)
    );
    for name in ["novel", "twin", "pointer"] {
        client
            .nfs(
                12,
                |call| {
                    call.opaque(&root).opaque(name.as_bytes());
                },
                |_| (),
            )
            .unwrap();
    }
    assert_eq!(client.read(&file, 0, 1), Err(STALE));
    assert_eq!(client.look_up(&root, ".."), Ok(root));
}

#[test]
fn a_server_that_was_started_again_goes_on() {
    let exported = tempfile::tempdir().unwrap();
    let (mut client, root) = Client::mounted(serve(exported.path()));
    let directory = client.make_directory(&root, "deep").unwrap();
    let file = client.create(&directory, "file", 0o644).unwrap();
    client.write(&file, 0, b"before").unwrap();

    let mut client = Client::connect(serve(exported.path()));
    client.write(&file, 6, b" and after").unwrap();
    assert_eq!(client.read(&file, 0, 100), Ok((b"before and after".to_vec(), true)));
    assert_eq!(client.look_up(&directory, "file"), Ok(file));
}

#[test]
fn long_lists_come_in_pieces_each_name_once() {
    let exported = tempfile::tempdir().unwrap();
    let expected: BTreeSet<_> = (0..500).map(|number| format!("file-{number}")).collect();
    for name in &expected {
        fs::write(exported.path().join(name), "").unwrap();
    }
    let (mut client, root) = Client::mounted(serve(exported.path()));
    for with_attributes in [false, true] {
        let mut names = client.names(&root, 1500, with_attributes).unwrap();
        names.retain(|name| !name.starts_with('.'));
        assert_eq!(names.len(), 500);
        assert_eq!(names.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

#[test]
fn an_exclusive_create_that_is_repeated_is_the_same_one() {
    let exported = tempfile::tempdir().unwrap();
    let (mut client, root) = Client::mounted(serve(exported.path()));
    let mut create = |mark: &[u8; 8]| {
        let arguments = |call: &mut Encoder| {
            call.opaque(&root).opaque(b"lock").u32(2).fixed(mark);
        };
        client.nfs(8, arguments, |_| ())
    };
    assert_eq!(create(b"client-1"), Ok(()));
    assert_eq!(create(b"client-1"), Ok(()), "its reply was lost");
    assert_eq!(create(b"client-2"), Err(EXISTS));
}

#[test]
fn a_directory_below_the_export_is_mounted_and_nothing_else() {
    let exported = tempfile::tempdir().unwrap();
    fs::create_dir(exported.path().join("team")).unwrap();
    fs::write(exported.path().join("file"), "").unwrap();
    symlink("/", exported.path().join("up")).unwrap();
    let mut client = Client::connect(serve(exported.path()));
    let root = client.mount("/exports").unwrap();
    assert_eq!(client.mount("/exports/"), Ok(root.clone()));
    let team = client.mount("/exports/team").unwrap();
    assert_eq!(client.look_up(&root, "team"), Ok(team));
    assert_eq!(client.mount("/exports/file"), Err(NOT_DIRECTORY));
    assert_eq!(client.mount("/exports/up"), Err(NOT_DIRECTORY));
    for path in ["/", "", "/other", "/exportsteam", "/exports/none"] {
        assert_eq!(client.mount(path), Err(NO_ENTRY), "{path}");
    }
    assert_eq!(client.mount("/exports/.."), Err(INVALID));
    for name in ["exports", "/", "/a/../b", "//a", "/a/"] {
        assert!(podlab_nfs::Service::new(name, exported.path()).is_err(), "{name}");
    }
}

#[test]
fn a_client_gets_no_rights_of_the_server() {
    let exported = tempfile::tempdir().unwrap();
    let (mut client, root) = Client::mounted(serve(exported.path()));
    let file = client.create(&root, "program", 0o6755).unwrap();
    let mode = || fs::metadata(exported.path().join("program")).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(), 0o755);
    let mut set = |mode, owner| {
        let arguments = |call: &mut Encoder| {
            call.opaque(&file);
            attributes(call, mode, owner);
            call.bool(false);
        };
        client.nfs(2, arguments, |_| ())
    };
    assert_eq!(set(Some(0o7777), None), Ok(()));
    assert_eq!(mode(), 0o777);
    assert_eq!(set(None, Some(12345)), Err(PERMISSION));
    let device = |call: &mut Encoder| {
        call.opaque(&root).opaque(b"sda").u32(3);
    };
    assert_eq!(client.nfs(11, device, |_| ()), Err(NOT_SUPPORTED));
    for name in ["../outside", "a/b", ".", ".."] {
        assert_eq!(client.create(&root, name, 0o644), Err(INVALID), "{name}");
    }
    assert_eq!(client.look_up(&b"a handle of another server".to_vec(), "x"), Err(BAD_HANDLE));
}

#[test]
fn what_is_no_call_of_ours_is_refused() {
    let exported = tempfile::tempdir().unwrap();
    let address = serve(exported.path());
    let mut client = Client::connect(address);
    assert_eq!(client.call(100_000, 0, &[]).refusal(), 1, "the port mapper is another program");
    assert_eq!(client.call(NFS, 22, &[]).refusal(), 3, "no such procedure");
    assert_eq!(client.call(MOUNT, 6, &[]).refusal(), 3, "no such procedure");
    assert_eq!(client.call(NFS, 3, &[0, 0, 0, 99]).refusal(), 4, "garbage");
    // Too long, and not a call at all: the connection ends, the server does not.
    let too_long = (u32::try_from(LIMIT).unwrap() + 1) | 1 << 31;
    for bytes in [too_long.to_be_bytes().to_vec(), b"\x80\0\0\x04\0\0\0\0".to_vec(), b"GET / HTTP/1.1\r\n\r\n".to_vec()]
    {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.write_all(&bytes).unwrap();
        // A connection that is closed with bytes unread is reset.
        assert!(connection.read(&mut [0; 16]).map_or(true, |length| length == 0), "{bytes:?}");
    }
    assert!(client.mount("/exports").is_ok());
}

#[test]
fn one_client_does_not_take_all_connections() {
    let exported = tempfile::tempdir().unwrap();
    let address = serve(exported.path());
    let mut clients: Vec<_> = (0..16).map(|_| Client::connect(address)).collect();
    clients.iter_mut().for_each(|client| drop(client.mount("/exports").unwrap()));
    let mut one_more = TcpStream::connect(address).unwrap();
    assert!(one_more.read(&mut [0; 1]).map_or(true, |length| length == 0), "it is closed");
    assert!(clients[0].mount("/exports").is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Arguments of any kind, after a handle that is right: an answer, and nothing beside the exported directory.
    #[test]
    fn any_arguments_are_answered(procedure in 0_u32..24, more in any::<Vec<u8>>(), words in prop::collection::vec(0_u32..4, 0..24)) {
        let temporary = tempfile::tempdir().unwrap();
        fs::create_dir(temporary.path().join("exported")).unwrap();
        fs::write(temporary.path().join("outside"), "untouched").unwrap();
        let service = podlab_nfs::Service::new("/exports", &temporary.path().join("exported")).unwrap();
        let call = |program: u32, procedure: u32, arguments: &[u8]| {
            let mut record = Encoder::new();
            record.u32(1).u32(0).u32(2).u32(program).u32(3).u32(procedure).u32(0).u32(0).u32(0).u32(0);
            service.answer(&[record.into_bytes(), arguments.to_vec()].concat())
        };
        let mut path = Encoder::new();
        path.opaque(b"/exports");
        let mounted = call(MOUNT, 1, &path.into_bytes()).unwrap();
        let root = handle(&mut podlab_nfs::Decoder::new(&mounted[28..]));
        let mut arguments = Encoder::new();
        arguments.opaque(&root);
        words.iter().for_each(|word| { arguments.u32(*word); });
        arguments.fixed(&more);
        prop_assert!(call(NFS, procedure, &arguments.into_bytes()).is_some());
        prop_assert!(call(NFS, procedure, &more).is_some());
        let _ = service.answer(&more);
        let outside = fs::read_to_string(temporary.path().join("outside")).unwrap();
        prop_assert_eq!(outside, "untouched");
        prop_assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 2);
    }
}
