//! `podlab image …`

use std::path::Path;
use std::process::ExitCode;

use podlab_images::Store;

use super::Context;

/// Lists the store's images. It fills the store when this is the first command of a build.
///
/// # Errors
///
/// When the store cannot be read or filled.
pub(crate) fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let mut directory = context.directory()?;
    directory.create()?;
    let images = Store::open(&directory.images(), Path::new("/proc/self/exe"))?.list()?;
    println!("{:<44} {:<14} {:>9}  NOTE", "IMAGE", "ID", "SIZE");
    for image in images {
        let id: String = image.id.trim_start_matches("sha256:").chars().take(12).collect();
        let size = format!("{:.1} MB", image.size as f64 / 1e6);
        for tag in &image.repo_tags {
            println!("{tag:<44} {id:<14} {size:>9}  {}", image.built_in.unwrap_or_default());
        }
    }
    Ok(ExitCode::SUCCESS)
}
