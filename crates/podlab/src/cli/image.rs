//! The commands about images.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::commands::{Context, image};

#[derive(Debug, Subcommand)]
pub(super) enum ImageCommand {
    /// List the images in the store
    #[command(after_help = "Examples:\n  podlab image ls")]
    Ls,
    /// Bring an image from its registry into the store
    #[command(after_help = "\
Examples:
  podlab image pull nginx:1.27
  podlab image pull app:1 --mirror http://127.0.0.1:5000")]
    Pull {
        /// As a Pod names it: nginx:1.27, quay.io/org/app, 127.0.0.1:5000/app:1
        image: String,
        /// Ask this address first, as http://127.0.0.1:5000 (may be repeated)
        #[arg(long, value_name = "ADDRESS")]
        mirror: Vec<String>,
    },
    /// Add the images of an archive, as `docker save` or `podman save` write it
    #[command(after_help = "\
Examples:
  podlab image load app.tar
  docker save app:1 | podlab image load -")]
    Load {
        /// The archive, gzipped or not; `-` is standard input
        archive: PathBuf,
    },
    /// Write images to an archive that `docker load` and `podlab image load` read
    #[command(after_help = "Examples:\n  podlab image save nginx --output nginx.tar")]
    Save {
        /// As a Pod names them
        #[arg(required = true)]
        images: Vec<String>,
        /// The archive; `-` is standard output
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Forget an image; its files go when the cluster starts the next time
    #[command(after_help = "Examples:\n  podlab image rm app:1")]
    Rm {
        /// As a Pod names it
        image: String,
    },
    /// Remove every image that nobody runs, with its files
    #[command(after_help = "Examples:\n  podlab image prune")]
    Prune,
    /// Show what an image says about itself, as JSON
    #[command(after_help = "Examples:\n  podlab image inspect nginx")]
    Inspect {
        /// As a Pod names it, or its id
        image: String,
    },
}

pub(super) fn run(context: &Context, command: ImageCommand) -> anyhow::Result<ExitCode> {
    match command {
        ImageCommand::Ls => image::list(context),
        ImageCommand::Pull { image, mirror } => image::pull(context, &image, mirror),
        ImageCommand::Load { archive } => image::load(context, &archive),
        ImageCommand::Save { images, output } => image::save(context, &images, &output),
        ImageCommand::Rm { image } => image::remove(context, &image),
        ImageCommand::Prune => image::prune(context),
        ImageCommand::Inspect { image } => image::inspect(context, &image),
    }
}
