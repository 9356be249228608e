//! `ncaers recipe MANIFEST|LOCATED --out FILE`
use std::path::PathBuf;

use serde_json::json;

use super::Done;
use crate::dataset;

/// Describe a data set by its frames' clips and positions, without a picture
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: ncaers recipe manifests/ncaers --out ncaers-recipe.parquet\n\nWrites FILE.parquet, FILE.csv and FILE.croissant.json."
)]
pub struct Args {
    /// A manifest that was built from clips, or the folder that `locate` filled
    #[arg(value_name = "MANIFEST|LOCATED")]
    from: PathBuf,
    /// The recipe's name, to which .parquet, .csv and .croissant.json are added
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Done> {
    let written = dataset::recipe::write(&args.from, &args.out)?;
    let text = if written.already_done {
        format!("already done: {}", written.parquet.display())
    } else {
        let left_out = match written.left_out {
            0 => String::new(),
            n => format!("; {n} stills without a clip or a class are left out"),
        };
        format!(
            "{} samples of {} clips in {}, {} and {}{left_out}",
            written.samples,
            written.clips,
            written.parquet.display(),
            written.csv.display(),
            written.croissant.display()
        )
    };
    Ok(Done { text, json: json!(written), exit: 0 })
}
