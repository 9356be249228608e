//! The report as one list of sections, set as a self-contained HTML page and as Markdown.
use std::fmt::Write;

use anyhow::Result;
use serde_json::Value;

use super::figure::Figure;
use crate::table::{escape_html, escape_markdown, Table};

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
    /// Part of the page only; already HTML.
    Html(String),
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
        let title = escape_html(&self.title);
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{CSS}</style>\n</head>\n\
             <body>\n<a class=\"skip\" href=\"#main\">Skip to content</a>\n\
             <div class=\"layout\">\n<nav aria-label=\"Contents\">\n<ol>\n"
        );
        for section in &self.sections {
            let _ = writeln!(
                out,
                "<li><a href=\"#{}\">{}</a></li>",
                section.id,
                escape_html(&section.title)
            );
        }
        out += "</ol>\n<p><button class=\"plain\" id=\"theme\" type=\"button\" hidden>light / dark</button></p>\n</nav>\n";
        let _ = writeln!(out, "<main id=\"main\">\n<h1>{title}</h1>");
        if let Some(banner) = &self.banner {
            let _ = writeln!(out, "<p class=\"banner\" role=\"note\">{}</p>", escape_html(banner));
        }
        for section in &self.sections {
            section_html(&mut out, section)?;
        }
        let _ = write!(
            out,
            "<footer>{}</footer>\n</main>\n</div>\n\
             <script type=\"application/json\" id=\"page-data\">{}</script>\n<script>{JS}</script>\n</body>\n</html>\n",
            escape_html(&self.colophon),
            script_safe(data)
        );
        Ok(out)
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

fn section_html(out: &mut String, section: &Section) -> Result<()> {
    let (id, title) = (section.id, escape_html(&section.title));
    let _ = writeln!(out, "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>");
    for block in &section.blocks {
        match block {
            Block::Text(text) => {
                let _ = writeln!(out, "<p>{}</p>", escape_html(text));
            }
            Block::Heading(text) => {
                let _ = writeln!(out, "<h3>{}</h3>", escape_html(text));
            }
            Block::List(items) => {
                let items = items.iter().map(|i| format!("<li>{}</li>\n", escape_html(i)));
                let _ = writeln!(out, "<ul>\n{}</ul>", items.collect::<String>());
            }
            Block::Table(table) => *out += &table_html(table),
            Block::Figure(figure) => *out += &figure_html(figure)?,
            Block::Row(figures) => {
                *out += "<div class=\"row\">\n";
                for figure in figures {
                    *out += &figure_html(figure)?;
                }
                *out += "</div>\n";
            }
            Block::FileFigure(_) => {}
            Block::Html(html) => *out += html,
        }
    }
    *out += "</section>\n";
    Ok(())
}

/// Rows beyond which a table is folded.
const LONG: usize = 40;

fn table_html(table: &Table) -> String {
    let html = scrolling(&table.caption, &table.html());
    if table.rows.len() <= LONG {
        return html;
    }
    let (caption, rows) = (escape_html(&table.caption), table.rows.len());
    format!("<details>\n<summary>{caption} ({rows} rows)</summary>\n{html}</details>\n")
}

/// A box that scrolls sideways on narrow screens and can be reached by keyboard.
pub fn scrolling(label: &str, html: &str) -> String {
    let label = escape_html(label);
    format!("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{label}\">\n{html}</div>\n")
}

fn figure_html(figure: &Figure) -> Result<String> {
    let (caption, alt) = (escape_html(&figure.caption), escape_html(&figure.alt));
    // Inside HTML the name space is implied; without it the page names no address at all.
    let svg = figure.canvas.svg()?.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
    let start = svg.find("<svg").map_or(0, |at| at + "<svg".len());
    let name = &figure.name;
    // A unit is half a pixel: below that size a figure scrolls instead of shrinking.
    let natural = figure.canvas.size().0 / 2;
    Ok(format!(
        "<figure id=\"figure-{name}\">\n{}\
         <figcaption>{caption} ({})</figcaption>\n</figure>\n",
        scrolling(
            &figure.caption,
            &format!(
                "<svg role=\"img\" aria-label=\"{alt}\" style=\"width:max(100%,{natural}px)\"{}\n",
                &svg[start..]
            )
        ),
        files(name)
    ))
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
pub fn files(name: &str) -> String {
    let link =
        |kind: &str| format!("<a href=\"figures/{name}.{}\">{kind}</a>", kind.to_lowercase());
    ["SVG", "PNG", "PDF"].map(link).join(", ")
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

/// JSON that cannot end the script element it stands in.
fn script_safe(data: &Value) -> String {
    data.to_string().replace("</", "<\\/").replace("<!--", "<\\u0021--")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page() -> Page {
        let mut section = Section::new("first", "First & only");
        section.text("a < b");
        section.blocks.push(Block::List(vec!["one_two".into()]));
        section.blocks.push(Block::Html("<p id=\"x\"></p>".into()));
        Page {
            title: "A <title>".into(),
            banner: None,
            colophon: "made".into(),
            sections: vec![section],
        }
    }

    #[test]
    fn text_cannot_become_markup() {
        let html = page().html(&json!({"ids": ["</script><b>"]})).expect("html");
        assert!(html.contains("<h1>A &lt;title&gt;</h1>") && html.contains("<p>a &lt; b</p>"));
        assert!(html.contains("<\\/script><b>"), "the data ends its element");
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
        assert!(!table_html(&table).contains("<details>"));
        table.rows.push(vec![Cell::words("y")]);
        assert!(table_html(&table).contains("<summary>pairs (41 rows)</summary>"));
    }

    #[test]
    fn nothing_is_fetched_from_a_network() {
        let html = page().html(&Value::Null).expect("html");
        assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    }

    #[test]
    fn markdown_has_no_heading_over_nothing() {
        let mut page = page();
        let html = || Block::Html("<p></p>".into());
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
