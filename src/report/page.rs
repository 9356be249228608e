//! The report as one list of sections, set as a self-contained HTML page and as Markdown.
use std::fmt::Write;

use anyhow::Result;
use maud::{html, Markup, PreEscaped};
use serde_json::Value;

use super::figure::Figure;
use crate::{
    escape::acts,
    html::document,
    table::{escape_markdown, Table},
};

const CSS: &str = include_str!("page/page.css");
const JS: &str = concat!(include_str!("page/samples.js"), include_str!("page/page.js"));

/// One piece of a section.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A list.
    List(Vec<String>),
    /// A heading inside the section.
    Heading(String),
    /// A table, also written as files of its own.
    Table(Table),
    /// A figure, also written as files of its own.
    Figure(Figure),
    /// Figures side by side, each also written as files of its own.
    Row(Vec<Figure>),
    /// A figure shown in the page by other means: files and Markdown only.
    FileFigure(Figure),
    /// Part of the page only.
    Html(Markup),
}

/// A section with its place in the contents.
#[derive(Clone, Debug)]
pub struct Section {
    /// Anchor.
    pub id: &'static str,
    /// Heading.
    pub title: String,
    /// What it holds.
    pub blocks: Vec<Block>,
}

impl Section {
    /// An empty section.
    pub fn new(id: &'static str, title: &str) -> Self {
        Section { id, title: title.into(), blocks: Vec::new() }
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Text(text.into()));
    }
}

/// Title, warning and sections.
#[derive(Clone, Debug)]
pub struct Page {
    /// Title, as every output names it.
    pub title: String,
    /// What every reader must know first.
    pub banner: Option<String>,
    /// What made it.
    pub colophon: String,
    /// The sections.
    pub sections: Vec<Section>,
}

impl Page {
    /// All tables.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.blocks().filter_map(|b| match b {
            Block::Table(table) => Some(table),
            _ => None,
        })
    }

    /// All figures.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.blocks().flat_map(|b| match b {
            Block::Figure(figure) | Block::FileFigure(figure) => std::slice::from_ref(figure),
            Block::Row(figures) => figures.as_slice(),
            _ => &[],
        })
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.sections.iter().flat_map(|s| &s.blocks)
    }

    /// The page as HTML; `data` is what its script reads.
    ///
    /// # Errors
    /// When a figure cannot be drawn.
    pub fn html(&self, data: &Value) -> Result<String> {
        let sections = self.sections.iter().map(section_html).collect::<Result<Vec<_>>>()?;
        let body = html! {
            a class="skip" href="#main" { "Skip to content" } "\n"
            div class="layout" { "\n"
                nav aria-label="Contents" { "\n"
                    ol { "\n"
                        @for section in &self.sections {
                            li { a href={ "#" (section.id) } { (section.title) } } "\n"
                        }
                    } "\n"
                    p { button class="plain" id="theme" type="button" hidden { "light / dark" } } "\n"
                } "\n"
                main id="main" { "\n"
                    h1 { (self.title) } "\n"
                    @if let Some(banner) = &self.banner {
                        p class="banner" role="note" { (banner) } "\n"
                    }
                    @for section in sections { (section) }
                    footer { (self.colophon) } "\n"
                } "\n"
            } "\n"
            script type="application/json" id="page-data" { (PreEscaped(script_safe(data))) } "\n"
            script { (PreEscaped(JS)) } "\n"
        };
        Ok(document(&self.title, CSS, &body))
    }

    /// The report as Markdown, figures as relative pictures.
    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n", escape_markdown(&self.title));
        if let Some(banner) = &self.banner {
            let _ = write!(out, "\n**{}**\n", escape_markdown(banner));
        }
        for section in &self.sections {
            let blocks = shown_in_markdown(&section.blocks);
            if blocks.is_empty() {
                continue;
            }
            let _ = write!(out, "\n## {}\n", escape_markdown(&section.title));
            for block in blocks {
                block_markdown(&mut out, block);
            }
        }
        let _ = write!(out, "\n---\n\n{}\n", escape_markdown(&self.colophon));
        out
    }
}

fn section_html(section: &Section) -> Result<Markup> {
    let blocks = section.blocks.iter().map(block_html).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        section aria-labelledby=(section.id) { "\n"
            h2 id=(section.id) { (section.title) } "\n"
            @for block in blocks { (block) }
        } "\n"
    })
}

fn block_html(block: &Block) -> Result<Markup> {
    Ok(match block {
        Block::Text(text) => html! { p { (text) } "\n" },
        Block::Heading(text) => html! { h3 { (text) } "\n" },
        Block::List(items) => html! {
            ul { "\n" @for item in items { li { (item) } "\n" } } "\n"
        },
        Block::Table(table) => table_html(table),
        Block::Figure(figure) => figure_html(figure)?,
        Block::Row(figures) => {
            let figures = figures.iter().map(figure_html).collect::<Result<Vec<_>>>()?;
            html! { div class="row" { "\n" @for figure in figures { (figure) } } "\n" }
        }
        Block::FileFigure(_) => html! {},
        Block::Html(html) => html.clone(),
    })
}

/// Rows beyond which a table is folded.
const LONG: usize = 40;

fn table_html(table: &Table) -> Markup {
    let (shown, rows) = (scrolling(&table.caption, &table.html()), table.rows.len());
    if rows <= LONG {
        return shown;
    }
    html! {
        details { "\n"
            summary { (table.caption) " (" (rows) " rows)" } "\n"
            (shown)
        } "\n"
    }
}

/// A box that scrolls sideways on narrow screens and can be reached by keyboard.
pub fn scrolling(label: &str, html: &Markup) -> Markup {
    html! {
        div class="scroll" role="region" tabindex="0" aria-label=(label) { "\n" (html) } "\n"
    }
}

fn figure_html(figure: &Figure) -> Result<Markup> {
    let svg = figure.canvas.svg()?;
    // The element itself is written anew: it has words and a style, and inside HTML its name space
    // is implied; without it the page names no address at all.
    let inside = svg.find("<svg").and_then(|at| Some(at + svg[at..].find('>')? + 1));
    let inside = &svg[inside.unwrap_or_default()..svg.rfind("</svg>").unwrap_or(svg.len())];
    let (name, (width, height)) = (&figure.name, figure.canvas.size());
    // A unit is half a pixel: below that size a figure scrolls instead of shrinking.
    let style = format!("width:max(100%,{}px)", width / 2);
    let drawing = html! {
        svg role="img" aria-label=(figure.alt) style=(style) width=(width) height=(height)
            viewBox={ "0 0 " (width) " " (height) } { (PreEscaped(inside)) } "\n"
    };
    Ok(html! {
        figure id={ "figure-" (name) } { "\n"
            (scrolling(&figure.caption, &drawing))
            figcaption { (figure.caption) " (" (files(name)) ")" } "\n"
        } "\n"
    })
}

/// The blocks that Markdown can show, without headings that nothing would follow.
fn shown_in_markdown(blocks: &[Block]) -> Vec<&Block> {
    let mut shown: Vec<&Block> = Vec::new();
    for block in blocks.iter().filter(|b| !matches!(b, Block::Html(_))) {
        let heading = matches!(block, Block::Heading(_));
        if heading && matches!(shown.last(), Some(Block::Heading(_))) {
            shown.pop();
        }
        shown.push(block);
    }
    if matches!(shown.last(), Some(Block::Heading(_))) {
        shown.pop();
    }
    shown
}

/// Links to a figure's files.
pub fn files(name: &str) -> Markup {
    html! {
        @for (i, kind) in ["SVG", "PNG", "PDF"].into_iter().enumerate() {
            @if i > 0 { ", " }
            a href={ "figures/" (name) "." (kind.to_lowercase()) } { (kind) }
        }
    }
}

fn block_markdown(out: &mut String, block: &Block) {
    let _ = match block {
        Block::Text(text) => write!(out, "\n{}\n", escape_markdown(text)),
        Block::Heading(text) => write!(out, "\n### {}\n", escape_markdown(text)),
        Block::List(items) => {
            out.push('\n');
            items.iter().try_for_each(|item| writeln!(out, "- {}", escape_markdown(item)))
        }
        Block::Table(table) => write!(out, "\n{}", table.markdown()),
        Block::Figure(figure) | Block::FileFigure(figure) => {
            let alt = escape_markdown(&figure.alt);
            let caption = escape_markdown(&figure.caption);
            write!(out, "\n![{alt}](figures/{}.png)\n\n{caption}\n", figure.name)
        }
        Block::Row(figures) => {
            figures.iter().for_each(|figure| block_markdown(out, &Block::Figure(figure.clone())));
            Ok(())
        }
        Block::Html(_) => Ok(()),
    };
}

/// JSON that cannot end the script element it stands in, and without characters that act.
fn script_safe(data: &Value) -> String {
    let text = data.to_string().replace("</", "<\\/").replace("<!--", "<\\u0021--");
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            // None of them is beyond 16 bits.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page() -> Page {
        let mut section = Section::new("first", "First & only");
        section.text("a < b");
        section.blocks.push(Block::List(vec!["one_two".into()]));
        section.blocks.push(Block::Html(html! { p id="x" {} }));
        Page {
            title: "A <title>".into(),
            banner: None,
            colophon: "made".into(),
            sections: vec![section],
        }
    }

    #[test]
    fn text_cannot_become_markup() {
        let html = page().html(&json!({"ids": ["</script><b>\u{202e}"]})).expect("html");
        assert!(html.contains("<h1>A &lt;title&gt;</h1>") && html.contains("<p>a &lt; b</p>"));
        assert!(html.contains("<\\/script><b>\\u202e\""), "the data ends its element");
        assert_eq!(html.matches("</script>").count(), 2);
    }

    #[test]
    fn long_tables_are_folded() {
        use crate::table::{Cell, Column};
        let mut table = Table {
            caption: "pairs".into(),
            columns: vec![Column::words("a")],
            rows: vec![vec![Cell::words("x")]; LONG],
            ..Table::default()
        };
        assert!(!table_html(&table).into_string().contains("<details>"));
        table.rows.push(vec![Cell::words("y")]);
        assert!(table_html(&table).into_string().contains("<summary>pairs (41 rows)</summary>"));
    }

    #[test]
    fn nothing_is_fetched_from_a_network() {
        let html = page().html(&Value::Null).expect("html");
        assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    }

    #[test]
    fn markdown_has_no_heading_over_nothing() {
        let mut page = page();
        let html = || Block::Html(html! { p {} });
        let heading = |text: &str| Block::Heading(text.into());
        let mut only_html = Section::new("page-only", "Page only");
        only_html.blocks = vec![heading("a"), html()];
        let mut mixed = Section::new("mixed", "Mixed");
        mixed.blocks =
            vec![heading("b"), html(), heading("c"), html(), Block::Text("d".into()), heading("e")];
        page.sections = vec![only_html, mixed];
        let text = page.markdown();
        for absent in ["Page only", "### a", "### b", "### e"] {
            assert!(!text.contains(absent), "{absent} in {text}");
        }
        assert!(text.contains("## Mixed") && text.contains("### c"), "{text}");
    }

    #[test]
    fn markdown_leaves_out_what_needs_a_page() {
        insta::assert_snapshot!(page().markdown(), @r"
        # A \<title\>

        ## First & only

        a \< b

        - one\_two

        ---

        made
        ");
    }
}
