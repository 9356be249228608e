//! What keeps a run from being made, found before anything starts: a grid must not learn after
//! hours that a file was never there.
use std::path::Path;

use super::Experiment;
use crate::{
    manifest,
    model::published,
    pack::{self, Pack},
    record::{Emotion, Split},
    train::{pack_inputs, MissingClasses, Selection, EMPTY_VALIDATION},
};

/// Why a run of this configuration cannot be made, each in a line that says what to do; nothing
/// when it can.
pub fn obstacles(experiment: &Experiment) -> Vec<String> {
    let mut found = missing_files(experiment);
    match experiment.pack() {
        Ok(folder) => found.extend(pack_obstacles(experiment, folder)),
        Err(error) => found.push(format!("{error:#}")),
    }
    found
}

/// Files that the configuration names and that are not there: weights, teacher.
pub fn missing_files(experiment: &Experiment) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(weights) = &experiment.model.weights {
        let path = Path::new(&weights.path);
        if !path.is_file() {
            found.push(missing_weights(path));
        }
    }
    if let Some(teacher) = &experiment.train.teacher {
        if !Path::new(teacher).join("best.safetensors").is_file() {
            found.push(format!(
                "the teacher {teacher} is no finished run; train it first, or name another with train.teacher"
            ));
        }
    }
    found
}

/// Names the file, and whose it is where that is known.
fn missing_weights(path: &Path) -> String {
    let known = published::by_name(path).and_then(|known| known.files.first());
    let whose = known.map_or_else(String::new, |file| format!(" ({}: {})", file.source, file.file));
    format!("weights {} are missing{whose}", path.display())
}

fn pack_obstacles(experiment: &Experiment, folder: &Path) -> Vec<String> {
    let train = match Pack::open(&pack::path_of(folder, Split::Train)) {
        Ok(train) => train,
        Err(error) => return vec![format!("{error:#}")],
    };
    let mut found = Vec::new();
    if let Some(manifest) = experiment.data.manifest.as_deref().map(Path::new) {
        match manifest::digest(manifest) {
            Ok(digest) if digest == train.manifest_digest() => {}
            Ok(_) => found.push(format!(
                "pack {} was not made from the present state of {}; run `ncaers pack` again",
                folder.display(),
                manifest.display()
            )),
            Err(error) => found.push(format!("{error:#}")),
        }
    }
    let lacking: Vec<&str> = pack_inputs(&experiment.model)
        .into_iter()
        .filter(|input| train.view(*input).is_none())
        .map(|input| input.name())
        .collect();
    if !lacking.is_empty() {
        found.push(pack::lacks(&train, &lacking));
    }
    let missing: Vec<&str> = Emotion::ALL
        .iter()
        .filter(|emotion| !train.labels().contains(&emotion.label()))
        .map(|emotion| emotion.name())
        .collect();
    if !missing.is_empty() && experiment.train.missing_classes == MissingClasses::Refuse {
        found.push(format!(
            "the training part has no sample of {}; where that is meant, set train.missing_classes = \"allow\"",
            missing.join(", ")
        ));
    }
    if experiment.train.selection == Selection::Validation {
        match Pack::open(&pack::path_of(folder, Split::Val)) {
            Ok(val) if !val.is_empty() => {}
            Ok(_) => found.push(EMPTY_VALIDATION.to_owned()),
            Err(error) => found.push(format!("{error:#}")),
        }
    }
    found
}
