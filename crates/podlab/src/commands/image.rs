//! `podlab image …`

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use podlab_client::{Client, ListOptions};
use podlab_images::registry::{Progress, Registries};
use podlab_images::{ImageRecord, Reference, Store};

use super::Context;
use crate::images_in_use;

/// Opens the store; fills it when this is the first command of a build.
fn store(context: &Context) -> anyhow::Result<Store> {
    let mut directory = context.directory()?;
    directory.create()?;
    Ok(Store::open(&directory.images(), Path::new("/proc/self/exe"))?)
}

/// Lists the store's images, one a line, by the first of their names.
///
/// # Errors
///
/// When the store cannot be read or filled.
pub(crate) fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let images = store(context)?.list()?;
    let names: Vec<String> = images.iter().map(name_of).collect();
    let width = names.iter().map(String::len).max().unwrap_or_default();
    println!("{:<width$}  {:<12}  {:>9}  NOTE", "IMAGE", "ID", "SIZE");
    for (name, image) in names.iter().zip(&images) {
        let size = megabytes(image.size);
        let note = image.built_in.map(|what| format!("built in: {what}")).unwrap_or_default();
        println!("{}", format!("{name:<width$}  {}  {size:>9}  {note}", short_id(image)).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// The first name, and how many others there are.
fn name_of(image: &ImageRecord) -> String {
    match image.repo_tags.as_slice() {
        [] => image.repo_digest.clone(),
        [only] => only.clone(),
        [first, others @ ..] => format!("{first} (+{} tags)", others.len()),
    }
}

fn short_id(image: &ImageRecord) -> String {
    image.id.trim_start_matches("sha256:").chars().take(12).collect()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Brings an image from a registry; shows on a terminal how far it is.
///
/// # Errors
///
/// When no registry has it, or what arrives is no image for this machine.
pub(crate) fn pull(context: &Context, image: &str, mirrors: Vec<String>) -> anyhow::Result<ExitCode> {
    let store = store(context)?;
    let reference: Reference = image.parse()?;
    let mut registries = Registries::of_store(store.directory())?;
    registries.mirrors.entry(reference.domain().to_owned()).or_default().splice(0..0, mirrors);

    let terminal = std::io::stderr().is_terminal();
    let (received, expected) = (AtomicU64::new(0), AtomicU64::new(0));
    let show = |progress: Progress| match progress {
        Progress::Resolved { layers, bytes } => {
            expected.store(bytes, Ordering::Relaxed);
            eprintln!("{reference}: {layers} layers to fetch, {}", megabytes(bytes));
        }
        Progress::Received { bytes } => {
            let before = received.fetch_add(bytes, Ordering::Relaxed);
            // A line a megabyte, over itself.
            if terminal && before >> 20 != (before + bytes) >> 20 {
                let total = megabytes(expected.load(Ordering::Relaxed));
                eprint!("\r{} of {total} ", megabytes(before + bytes));
                let _ = std::io::stderr().flush();
            }
        }
        Progress::Unpacking => eprintln!("{}unpacking", if terminal { "\r" } else { "" }),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let record = runtime
        .block_on(store.pull(&reference, &registries, None, show))
        .with_context(|| format!("cannot pull {reference}"))?;
    println!("{}", record.repo_digest);
    Ok(ExitCode::SUCCESS)
}

/// Adds the images of an archive.
///
/// # Errors
///
/// When it is none, or holds what must not be unpacked.
pub(crate) fn load(context: &Context, archive: &Path) -> anyhow::Result<ExitCode> {
    let store = store(context)?;
    let loaded = if archive == Path::new("-") {
        store.load(std::io::stdin().lock())
    } else {
        store.load(File::open(archive).with_context(|| archive.display().to_string())?)
    };
    for image in loaded.with_context(|| format!("cannot load {}", archive.display()))? {
        println!("{}", name_of(&image));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes images to an archive.
///
/// # Errors
///
/// When one is not in the store, or the archive cannot be written.
pub(crate) fn save(context: &Context, images: &[String], output: &Path) -> anyhow::Result<ExitCode> {
    let store = store(context)?;
    let images: Vec<&str> = images.iter().map(String::as_str).collect();
    if output == Path::new("-") {
        anyhow::ensure!(
            !std::io::stdout().is_terminal(),
            "an archive is nothing for a terminal: redirect it, or name a file with --output"
        );
        store.save(&images, std::io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    // Beside its place first: a save that fails leaves no half archive behind.
    let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(parent).with_context(|| parent.display().to_string())?;
    store.save(&images, std::io::BufWriter::new(&file))?;
    file.persist(output).with_context(|| output.display().to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Forgets an image.
///
/// # Errors
///
/// When there is none of the name, or it is built in.
pub(crate) fn remove(context: &Context, image: &str) -> anyhow::Result<ExitCode> {
    store(context)?.remove(image)?;
    Ok(ExitCode::SUCCESS)
}

/// Removes the images that no Pod of this cluster runs or is to run.
///
/// # Errors
///
/// When the cluster runs and does not say which Pods it has, or when an image is being added.
pub(crate) fn prune(context: &Context) -> anyhow::Result<ExitCode> {
    let (store, directory) = (store(context)?, context.directory()?);
    let mut used = images_in_use::of_nodes(&directory);
    // Also in a cluster that is stopped: its Pods come back with it.
    if context.running().is_ok() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let pods = runtime.block_on(async {
            let client = Client::from_kubeconfig(directory.kubeconfig())?;
            anyhow::Ok(client.list::<Pod>(None, &ListOptions::default()).await?.items)
        });
        let pods = pods.context("which images are used, the cluster does not say")?;
        used.extend(images_in_use::of_pods(&store, pods.iter()));
    }
    let mut images = store.list()?;
    images.retain(|image| image.built_in.is_none() && !used.contains(&image.id));
    let ids = images.iter().map(|image| image.id.clone()).collect();
    anyhow::ensure!(images.is_empty() || store.discard(&ids)?, "an image is being added at this moment: try again");
    for image in &images {
        println!("{}", name_of(image));
    }
    println!("{} removed", megabytes(images.iter().map(|image| image.size).sum()));
    Ok(ExitCode::SUCCESS)
}

/// Shows an image's own words about itself.
///
/// # Errors
///
/// When it is not in the store.
pub(crate) fn inspect(context: &Context, image: &str) -> anyhow::Result<ExitCode> {
    let store = store(context)?;
    let record = store.resolve(image)?.with_context(|| {
        format!("{image} is not in the store\nsee what is: podlab image ls; bring it: podlab image pull {image}")
    })?;
    let shown = serde_json::json!({
        "id": record.id,
        "repoTags": record.repo_tags,
        "repoDigests": [record.repo_digest],
        "size": record.size,
        "builtIn": record.built_in,
        "config": record.config,
        "layers": store.layers(&record.id)?,
    });
    println!("{shown:#}");
    Ok(ExitCode::SUCCESS)
}
