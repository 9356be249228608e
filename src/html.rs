//! The frame of every page that is written. What stands in it is made by [`maud::html!`], which
//! escapes by construction: text cannot become markup, and a `String` is no [`Markup`].
//! `PreEscaped` is for our own style sheets and scripts, for drawn figures, and nowhere else.
use maud::{html, Markup, PreEscaped, DOCTYPE};

use crate::escape::visible;

/// A page that needs no other file: its title, its style sheet and what is in its body.
///
/// Characters that act instead of being seen are shown, in names of files and labels alike.
pub fn document(title: &str, css: &'static str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE) "\n"
        html lang="en" { "\n"
            head { "\n"
                meta charset="utf-8"; "\n"
                meta name="viewport" content="width=device-width, initial-scale=1"; "\n"
                title { (title) } "\n"
                link rel="icon" href="data:,"; "\n"
                style { (PreEscaped(css)) } "\n"
            } "\n"
            body { "\n" (body) } "\n"
        } "\n"
    };
    visible(&page.into_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup_or_act() {
        let body = html! { p title=(r#""><script>"#) { "a < b & \u{202e}" } };
        insta::assert_snapshot!(document("<b>", "p{color:#000}", &body), @r#"
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>&lt;b&gt;</title>
        <link rel="icon" href="data:,">
        <style>p{color:#000}</style>
        </head>
        <body>
        <p title="&quot;&gt;&lt;script&gt;">a &lt; b &amp; \u{202e}</p></body>
        </html>
        "#);
    }
}
