//! Words of a shell script. Own code: the rule is one line, and what no script should carry is refused.
use std::{ffi::OsStr, path::Path};

use anyhow::{bail, Context, Result};

/// `word` as one word of a POSIX shell, whatever is in it.
///
/// # Errors
/// When it is not UTF-8 or holds a control character, which no script should carry.
pub(super) fn word(word: &OsStr) -> Result<String> {
    let text = word.to_str().with_context(|| {
        format!("`{}` is not UTF-8, so no Slurm script can name it", word.to_string_lossy())
    })?;
    if text.chars().any(char::is_control) {
        bail!(
            "`{}` holds a control character, so no Slurm script can name it",
            text.escape_debug()
        );
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=,:@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

/// The same for a path.
///
/// # Errors
/// As [`word`].
pub(super) fn path(path: &Path) -> Result<String> {
    word(path.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn plain_words_stay_and_others_are_quoted() {
        let quoted = |text: &str| word(text.as_ref()).expect("text");
        assert_eq!(quoted("/data/a-b_c.toml"), "/data/a-b_c.toml");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's $HOME `x`"), r"'it'\''s $HOME `x`'");
    }

    #[test]
    fn what_no_script_can_carry_is_named() {
        let foreign = word(OsStr::from_bytes(b"/a/\xff")).expect_err("refused").to_string();
        assert!(foreign.contains("is not UTF-8"), "{foreign}");
        let broken = word("a\nb".as_ref()).expect_err("refused").to_string();
        assert!(broken.contains(r"`a\nb` holds a control character"), "{broken}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// A shell reads back what was quoted.
        #[test]
        fn a_shell_reads_the_same_word(text in r#"[ -~äß"'\\$`!*]{0,20}"#) {
            let script = format!("printf %s {}", word(text.as_ref()).expect("text"));
            let out = std::process::Command::new("bash").args(["-c", &script]).output().expect("bash");
            prop_assert_eq!(String::from_utf8_lossy(&out.stdout), text);
        }
    }
}
