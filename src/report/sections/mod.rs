//! The report's sections: what is shown, in which words.
pub mod confusion;
pub mod data;
pub mod provenance;
pub mod reliability;
pub mod results;
pub mod samples;
pub mod significance;
pub mod training;

use super::study::{Run, Study};
use crate::table::escape_html;

/// A run's name in figures: label and seed.
pub fn run_label(run: &Run) -> String {
    format!("{}, seed {}", run.record.label, run.record.seed)
}

/// A run's key: what tables call it, and where it stands in the table of runs.
pub fn run_key(run: usize) -> String {
    format!("R{}", run + 1)
}

/// Two lists of models and the place where the page's script puts their comparison.
pub fn two_models_html(study: &Study) -> String {
    let list = |id: &str, name: &str, chosen: usize| {
        let options = study.scored().enumerate().map(|(at, (i, run, _))| {
            let selected = if at == chosen { " selected" } else { "" };
            format!("<option value=\"{i}\"{selected}>{}</option>", escape_html(&run_label(run)))
        });
        let options: String = options.collect();
        format!("<label for=\"{id}\">{name}<select id=\"{id}\">{options}</select></label>\n")
    };
    format!(
        "<div class=\"controls\">\n{}{}</div>\n<div id=\"comparison\" aria-live=\"polite\"></div>\n\
         <noscript><p>The comparison needs JavaScript; the table of differences holds the same \
         numbers.</p></noscript>\n",
        list("model-a", "model A", 0),
        list("model-b", "model B", 1),
    )
}
