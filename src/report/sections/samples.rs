//! Lists of samples to look at, filled by the page's script.
use crate::{
    record::Emotion,
    report::{
        page::{Block, Section},
        study::Study,
    },
    table::escape_html,
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
    let option = |value: &str, text: &str| {
        format!("<option value=\"{}\">{}</option>", escape_html(value), escape_html(text))
    };
    let lists = LISTS.iter().map(|(value, text)| option(value, text));
    let models = study.scored().map(|(i, run, _)| option(&i.to_string(), &super::run_label(run)));
    let classes = Emotion::ALL.iter().map(|e| option(&e.label().to_string(), e.name()));
    let select = |name: &str, label: &str, options: String| {
        format!("<label for=\"samples-{name}\">{label}<select id=\"samples-{name}\">{options}</select></label>\n")
    };
    section.blocks.push(Block::Html(format!(
        "<p class=\"screen\">Choose a sample to see it with every model's answer; the arrow keys go \
         through the list. These are the samples of {}; <code>ncaers report --split</code> shows \
         another split.</p>\n<div class=\"controls\">\n{}{}{}\
         <label for=\"samples-text\">name holds<input id=\"samples-text\" type=\"search\"></label>\n</div>\n\
         <div id=\"samples-panel\" aria-live=\"polite\"></div>\n\
         <noscript><p>The lists need JavaScript.</p></noscript>\n",
        study.split,
        select("kind", "show", lists.collect()),
        select("model", "model", models.collect()),
        select("class", "true class", option("", "all") + &classes.collect::<String>()),
    )));
    section
}
