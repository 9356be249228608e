//! The report's sections: what is shown, in which words.
pub mod confusion;
pub mod data;
pub mod provenance;
pub mod reliability;
pub mod results;
pub mod samples;
pub mod significance;
pub mod training;

use maud::{html, Markup};

use super::study::{Run, Study};

/// A run's name in figures: label and seed.
pub fn run_label(run: &Run) -> String {
    format!("{}, seed {}", run.record.label, run.record.seed)
}

/// A run's key: what tables call it, and where it stands in the table of runs.
pub fn run_key(run: usize) -> String {
    format!("R{}", run + 1)
}

/// Two lists of models and the place where the page's script puts their comparison.
pub fn two_models_html(study: &Study) -> Markup {
    let list = |id: &str, name: &str, chosen: usize| {
        html! {
            label for=(id) {
                (name)
                select id=(id) {
                    @for (at, (i, run, _)) in study.scored().enumerate() {
                        option value=(i) selected[at == chosen] { (run_label(run)) }
                    }
                }
            } "\n"
        }
    };
    html! {
        div class="controls" { "\n" (list("model-a", "model A", 0)) (list("model-b", "model B", 1)) } "\n"
        div id="comparison" aria-live="polite" {} "\n"
        noscript {
            p { "The comparison needs JavaScript; the table of differences holds the same numbers." }
        } "\n"
    }
}
