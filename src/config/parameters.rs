//! Parameters as a user gave them: names checked, values still text.

use std::{collections::BTreeMap, path::Path, str::FromStr};

use serde_yaml_ng::Value;

use super::table::{PARAMETERS, Parameter, Support};
use crate::error::{Error, Result};

/// Values of parameters as given on the command line, in a file, or by a program; those not given
/// have tclean's defaults. Every name in it is in [`PARAMETERS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    given: BTreeMap<&'static str, String>,
}

impl Parameters {
    /// Sets a parameter. Elements of a list are separated by commas or spaces.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a name that is not in [`PARAMETERS`], naming the nearest one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> Result<()> {
        let value = value.into();
        let parameter = Parameter::find(name).ok_or_else(|| {
            let remedy = match nearest(name) {
                Some(near) => format!("did you mean {near}? "),
                None => String::new(),
            };
            let remedy = remedy + "`cubeclean image --help` lists what there is";
            Error::parameter(name, value.clone(), "there is no such parameter", remedy)
        })?;
        self.given.insert(parameter.name, value.trim().to_owned());
        Ok(())
    }

    /// Reads a YAML (or JSON) mapping of parameter names to values: text, numbers, true or false, or
    /// lists of these. `origin` is named in errors.
    ///
    /// # Errors
    /// [`Error::Data`] for text that is not such a mapping, [`Error::Parameter`] for a name that there is not.
    pub fn from_yaml(text: &str, origin: &Path) -> Result<Self> {
        let bad = |what: &str, problem: String| {
            Error::data(origin, what, problem, "write one `name: value` a line, as in YAML or JSON")
        };
        let value = serde_yaml_ng::from_str(text)
            .map_err(|e| bad("parameters", format!("cannot be read: {e}")))?;
        let mapping = match value {
            Value::Mapping(mapping) => mapping,
            Value::Null => return Ok(Self::default()),
            _ => return Err(bad("parameters", "not a mapping of names to values".into())),
        };
        let mut parameters = Self::default();
        for (name, value) in mapping {
            let name = name.as_str().ok_or_else(|| bad("a name", "is not text".into()))?;
            let text = plain(&value)
                .ok_or_else(|| bad(name, "is neither a value nor a list of values".into()))?;
            parameters.set(name, text)?;
        }
        Ok(parameters)
    }

    /// Takes over all that `other` gives.
    pub fn overlay(&mut self, other: &Self) {
        self.given.extend(other.given.iter().map(|(k, v)| (*k, v.clone())));
    }

    /// What was given, in alphabetical order.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.given.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The `cubeclean image` command that means the same, in the order of the help.
    pub fn command(&self) -> String {
        self.command_without(&[])
    }

    /// The same without some parameters.
    pub(super) fn command_without(&self, names: &[&str]) -> String {
        let mut command = "cubeclean image".to_owned();
        for p in PARAMETERS.iter().filter(|p| !names.contains(&p.name)) {
            match self.given.get(p.name) {
                Some(value) if p.is_switch() => {
                    let suffix = if truth(value) == Some(true) { "" } else { "=false" };
                    command += &format!(" --{}{suffix}", p.name);
                }
                Some(value) => command += &format!(" --{} {}", p.name, quoted(value)),
                None => {}
            }
        }
        command
    }

    /// Refuses parameters that are given a value other than tclean's default while only that one is
    /// supported. Returns those that change nothing here, with the reason.
    pub(super) fn unsupported(&self) -> Result<Vec<(&'static str, &'static str)>> {
        let mut no_effect = Vec::new();
        for (name, value) in &self.given {
            let Some(parameter) = Parameter::find(name) else { continue };
            if same(value, parameter.default) {
                continue;
            }
            match parameter.support {
                Support::DefaultOnly(remedy) => {
                    return Err(Error::parameter(*name, value, "is not supported", remedy));
                }
                Support::NoEffect(why) => no_effect.push((*name, why)),
                Support::Yes | Support::Own => {}
            }
        }
        Ok(no_effect)
    }

    /// Whether a parameter is given a value other than its default.
    pub(super) fn differs(&self, name: &str) -> bool {
        let default = Parameter::find(name).map_or("", |p| p.default);
        self.given.get(name).is_some_and(|value| !same(value, default))
    }

    /// A value as text; empty where neither given nor defaulted.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.given.get(name) {
            Some(value) => value,
            None => Parameter::find(name).map_or("", |p| p.default),
        }
    }

    /// The elements of a list, tclean's `['']` being empty.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.text(name).split([',', ' ', '\t', '\n']).filter(|w| !w.is_empty()).collect()
    }

    /// True or false.
    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        let text = self.text(name);
        truth(text).ok_or_else(|| {
            Error::parameter(
                name,
                text,
                "is neither true nor false",
                format!("say --{name} or --{name}=false"),
            )
        })
    }

    /// A number for which `allowed` holds; `wanted` says in words what that is.
    pub(super) fn number<T: FromStr + Copy>(
        &self,
        name: &str,
        allowed: impl Fn(T) -> bool,
        wanted: &str,
    ) -> Result<T> {
        number_of(name, self.text(name), allowed, wanted)
    }

    /// One of several words, in any case.
    pub(super) fn choice<T: Clone>(&self, name: &str, choices: &[(&str, T)]) -> Result<T> {
        choice_of(name, self.text(name), choices)
    }
}

/// Reads one number; see [`Parameters::number`].
pub(super) fn number_of<T: FromStr + Copy>(
    name: &str,
    text: &str,
    allowed: impl Fn(T) -> bool,
    wanted: &str,
) -> Result<T> {
    match text.parse::<T>() {
        Ok(number) if allowed(number) => Ok(number),
        Ok(_) => Err(Error::parameter(name, text, "is out of range", format!("give {wanted}"))),
        Err(_) => Err(Error::parameter(name, text, "cannot be used", format!("give {wanted}"))),
    }
}

/// Reads one word; see [`Parameters::choice`].
pub(super) fn choice_of<T: Clone>(name: &str, text: &str, choices: &[(&str, T)]) -> Result<T> {
    let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| value.clone()).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        Error::parameter(name, text, "is not available", format!("give {}", either(&words)))
    })
}

/// "a", "a or b", "a, b or c".
fn either(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "1" => Some(true),
        "false" | "f" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// Whether two values mean the same: equal numbers, truth values, or text.
fn same(a: &str, b: &str) -> bool {
    let numbers = a.parse::<f64>().ok().zip(b.parse::<f64>().ok());
    let truths = truth(a).zip(truth(b));
    a.eq_ignore_ascii_case(b)
        || numbers.is_some_and(|(x, y)| x == y)
        || truths.is_some_and(|(x, y)| x == y)
}

/// A YAML scalar, or a list of them, as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(n) => Some(n.to_string()),
        Value::String(s) => Some(s.clone()),
        Value::Sequence(list) => {
            let words: Option<Vec<String>> = list.iter().map(plain).collect();
            Some(words?.join(","))
        }
        _ => None,
    }
}

/// The parameter whose name is fewest edits away, if those are few.
fn nearest(name: &str) -> Option<&'static str> {
    let near = PARAMETERS.iter().map(|p| (edits(name, p.name), p.name)).min()?;
    (near.0 <= 1 + name.len() / 4).then_some(near.1)
}

/// Levenshtein distance, regardless of case.
fn edits(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The value as a shell takes it.
fn quoted(value: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._-+/:,=@%".contains(c);
    if !value.is_empty() && value.chars().all(harmless) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_answered_with_the_nearest_name() {
        let error = Parameters::default().set("treshold", "5mJy").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("did you mean threshold?"), "{error}");
        let error = Parameters::default().set("zzzzzz", "1").unwrap_err();
        assert!(!error.to_string().contains("did you mean"), "{error}");
    }

    #[test]
    fn yaml_and_json_say_the_same_as_the_command_line() {
        let yaml = "vis: a.ms\nimsize: [256, 200]\npbcor: true\nrobust: -0.5\nthreshold: 5mJy\n\
            gridding_accuracy: 1e-6\nmask: 'circle[[128pix,128pix],50pix]'\n";
        let json = r#"{"vis": "a.ms", "imsize": [256, 200], "pbcor": true, "robust": -0.5,
            "threshold": "5mJy", "gridding-accuracy": 1e-6, "mask": "circle[[128pix,128pix],50pix]"}"#;
        let origin = Path::new("p.yaml");
        let parameters = Parameters::from_yaml(yaml, origin).unwrap();
        assert_eq!(parameters.list("imsize"), ["256", "200"]);
        assert!(parameters.flag("pbcor").unwrap());
        assert_eq!(parameters.number("robust", |_: f64| true, "").unwrap(), -0.5);
        assert_eq!(
            parameters.command(),
            "cubeclean image --vis a.ms --imsize 256,200 --robust -0.5 --gridding-accuracy 1e-6 \
             --threshold 5mJy --mask 'circle[[128pix,128pix],50pix]' --pbcor"
        );
        let from_json = Parameters::from_yaml(json, origin).unwrap();
        assert_eq!(from_json.list("imsize"), parameters.list("imsize"));
        assert_eq!(from_json.text("mask"), parameters.text("mask"));

        for bad in ["- 1", "imsize: {a: 1}", "a: [", "3: 4"] {
            let error = Parameters::from_yaml(bad, origin).unwrap_err();
            assert!(error.to_string().contains("p.yaml"), "{error}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_or_reported() {
        let mut parameters = Parameters::default();
        parameters.set("facets", "1.0").unwrap();
        parameters.set("scan", "").unwrap();
        parameters.set("wprojplanes", "128").unwrap();
        let no_effect = parameters.unsupported().unwrap();
        assert_eq!(no_effect.iter().map(|n| n.0).collect::<Vec<_>>(), ["wprojplanes"]);
        parameters.set("scan", "3").unwrap();
        let error = parameters.unsupported().unwrap_err().to_string();
        assert!(error.starts_with("scan=3: is not supported; select the data"), "{error}");
    }

    #[test]
    fn quoting_survives_a_shell() {
        for value in ["a b", "it's", "$HOME", "", "circle[[1pix,2pix],3pix]"] {
            let printed = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quoted(value))])
                .output()
                .expect("sh");
            assert_eq!(String::from_utf8_lossy(&printed.stdout), value);
        }
    }
}
