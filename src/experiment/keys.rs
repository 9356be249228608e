//! Settings as trees of named values: merging, `key=value`, and errors that name the key.
use anyhow::{bail, Context, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Puts `over` over `base`, key by key. A table of another `kind` (schedules) or `name` (models)
/// replaces the old one, since its keys would not fit.
pub fn merge(base: &mut Value, over: &Value) {
    let is_another = ["kind", "name"]
        .iter()
        .any(|tag| matches!((base.get(tag), over.get(tag)), (Some(old), Some(new)) if old != new));
    match (base, over) {
        (Value::Object(base), Value::Object(over)) if !is_another => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// Sets the dotted `key` of `tree`, making tables on the way.
pub fn set(tree: &mut Value, key: &str, value: Value) {
    let mut place = tree;
    for part in key.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let table = place.as_object_mut().expect("made an object above");
        place = table.entry(part.to_owned()).or_insert(Value::Null);
    }
    *place = value;
}

/// Splits `key=value`; the value is TOML, or a plain string where it is none.
///
/// # Errors
/// When there is no `=` or no key.
pub fn assignment(text: &str) -> Result<(String, Value)> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.trim().is_empty())
        .with_context(|| format!("`{text}` is not of the form key=value"))?;
    let parsed: Option<toml::Table> = toml::from_str(&format!("value = {value}")).ok();
    let value = match parsed.and_then(|mut table| table.remove("value")) {
        Some(value) => serde_json::to_value(value)?,
        None => Value::String(value.to_owned()),
    };
    Ok((key.trim().to_owned(), value))
}

/// Refuses keys of `given` that `known` lacks.
///
/// # Errors
/// Names the key and the known one nearest to it.
pub fn refuse_unknown(known: &Value, given: &Value) -> Result<()> {
    let mut all = Vec::new();
    leaves("", known, &mut |path, _| all.push(path.to_owned()));
    walk_unknown("", known, given, &all)
}

fn walk_unknown(prefix: &str, known: &Value, given: &Value, all: &[String]) -> Result<()> {
    let (Value::Object(known), Value::Object(given)) = (known, given) else { return Ok(()) };
    // The keys of a table with a `kind` depend on it; the typed reader checks them.
    if given.contains_key("kind") {
        return Ok(());
    }
    for (key, value) in given {
        let path = join(prefix, key);
        match known.get(key) {
            Some(inner) => walk_unknown(&path, inner, value, all)?,
            None => bail!("unknown key `{path}`{}", hint(&path, known.keys(), all)),
        }
    }
    Ok(())
}

/// Says which key was probably meant: one of the same table if it is close, else one of any.
fn hint<'a>(path: &str, siblings: impl Iterator<Item = &'a String>, all: &[String]) -> String {
    let (prefix, key) = path.rsplit_once('.').unwrap_or(("", path));
    let here = siblings.map(|name| (strsim::jaro_winkler(key, name), join(prefix, name)));
    let anywhere = all.iter().map(|name| {
        let last = name.rsplit('.').next().unwrap_or(name);
        (strsim::jaro_winkler(key, last) - 0.05, name.clone())
    });
    let best = here.chain(anywhere).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, name)| format!(", did you mean `{name}`?")).unwrap_or_default()
}

/// Reads `tree` as a `T`.
///
/// # Errors
/// Names the key of `given` whose value does not fit, found by trying each alone over `defaults`.
pub fn typed<T: DeserializeOwned>(defaults: &Value, given: &Value) -> Result<T> {
    let mut tree = defaults.clone();
    merge(&mut tree, given);
    let error = match serde_json::from_value(tree) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let mut culprit = None;
    leaves("", given, &mut |path, value| {
        let mut alone = Value::Object(Map::new());
        set_tags(&mut alone, given, path);
        set(&mut alone, path, value.clone());
        let mut tree = defaults.clone();
        merge(&mut tree, &alone);
        if let (None, Err(error)) = (&culprit, serde_json::from_value::<T>(tree)) {
            culprit = Some(format!("{path} = {value}: {error}"));
        }
    });
    bail!("{}", culprit.unwrap_or_else(|| error.to_string()))
}

/// Puts the `name` and `kind` of every table on the way to `path` into `alone`: they decide which
/// keys the table may have.
fn set_tags(alone: &mut Value, given: &Value, path: &str) {
    for (end, _) in path.match_indices('.') {
        let table = &path[..end];
        for tag in ["name", "kind"] {
            let pointer = format!("/{}/{tag}", table.replace('.', "/"));
            if let Some(value) = given.pointer(&pointer) {
                set(alone, &join(table, tag), value.clone());
            }
        }
    }
}

/// Visits every value that is not a plain table (a table with a `kind` is one value).
fn leaves(prefix: &str, tree: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match tree {
        Value::Object(table) if !table.contains_key("kind") => {
            table.iter().for_each(|(key, value)| leaves(&join(prefix, key), value, visit));
        }
        leaf => visit(prefix, leaf),
    }
}

/// The same tree with keys in order, so that its text depends on its content alone.
pub fn canonical(tree: &Value) -> Value {
    match tree {
        Value::Object(table) => {
            let sorted: std::collections::BTreeMap<_, _> = table.iter().collect();
            Value::Object(sorted.into_iter().map(|(k, v)| (k.clone(), canonical(v))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        leaf => leaf.clone(),
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() {
        key.to_owned()
    } else {
        format!("{prefix}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn assignments_are_toml_or_text() {
        let value = |text| assignment(text).expect("parses").1;
        assert_eq!(value("a=3"), json!(3));
        assert_eq!(value("a=[1, 2]"), json!([1, 2]));
        assert_eq!(value("a={kind=\"linear\"}"), json!({"kind": "linear"}));
        assert_eq!(value("a=gla"), json!("gla"));
        assert_eq!(value("a=runs/x=y"), json!("runs/x=y"));
        assert!(assignment("just text").is_err());
        assert!(assignment("=3").is_err());
    }

    #[test]
    fn a_table_with_another_kind_replaces_the_old_one() {
        let mut base = json!({"s": {"kind": "steps", "factor": 0.1}, "t": {"a": 1, "b": 2}});
        merge(&mut base, &json!({"s": {"kind": "constant"}, "t": {"b": 3}}));
        assert_eq!(base, json!({"s": {"kind": "constant"}, "t": {"a": 1, "b": 3}}));
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        let known = json!({"train": {"learning_rate": 1, "epochs": 2}, "model": {"dropout": 0.5}});
        let refuse = |given| refuse_unknown(&known, &given).expect_err("unknown").to_string();
        let message = refuse(json!({"train": {"learning_rat": 1}}));
        assert_eq!(
            message,
            "unknown key `train.learning_rat`, did you mean `train.learning_rate`?"
        );
        let elsewhere = refuse(json!({"train": {"dropout": 1}}));
        assert!(elsewhere.contains("`model.dropout`"), "{elsewhere}");
        assert!(refuse(json!({"trian": {}})).contains("did you mean `train"), "section");
    }
}
