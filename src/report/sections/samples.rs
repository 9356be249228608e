//! Lists of samples to look at, filled by the page's script.
use maud::{html, Markup};

use crate::{
    record::Emotion,
    report::{
        page::{Block, Section},
        study::Study,
    },
};

/// Lists of the page: how the script calls them, and what they say.
const LISTS: [(&str, &str); 4] = [
    ("wrong", "confidently wrong"),
    ("disagree", "models disagree"),
    ("all-wrong", "wrong in every model"),
    ("all", "all"),
];

/// What is shown, of which model, of which class, with which words in the name.
pub fn section(study: &Study) -> Section {
    let mut section = Section::new("samples", "Samples");
    let models = study.scored().map(|(i, run, _)| option(i, &super::run_label(run)));
    section.blocks.push(Block::Html(html! {
        p class="screen" {
            "Choose a sample to see it with every model's answer; the arrow keys go through the list. \
             These are the samples of " (study.split) "; " code { "ncaers report --split" }
            " shows another split."
        } "\n"
        div class="controls" { "\n"
            (select("kind", "show", &html! {
                @for (value, text) in LISTS { (option(value, text)) }
            }))
            (select("model", "model", &html! { @for model in models { (model) } }))
            (select("class", "true class", &html! {
                (option("", "all"))
                @for e in Emotion::ALL { (option(e.label(), e.name())) }
            }))
            label for="samples-text" { "name holds" input id="samples-text" type="search"; } "\n"
        } "\n"
        div id="samples-panel" aria-live="polite" {} "\n"
        noscript { p { "The lists need JavaScript." } } "\n"
    }));
    section
}

fn option(value: impl maud::Render, text: &str) -> Markup {
    html! { option value=(value) { (text) } }
}

fn select(name: &str, label: &str, options: &Markup) -> Markup {
    html! {
        label for={ "samples-" (name) } { (label) select id={ "samples-" (name) } { (options) } } "\n"
    }
}
