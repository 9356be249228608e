//! What an audit found in train beside the scored samples, for the page's view of one sample.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use rayon::prelude::*;
use serde_json::{json, Value};

use super::{
    gallery,
    study::{ReportRequest, Study},
};
use crate::{leak_verdicts, record::Split};

/// Most pictures of train beside one sample, the most alike first.
const MOST: usize = 6;

/// Pictures of train that are like scored samples.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// The pictures of train in id order, each with its thumbnail where it can be read.
    stills: Vec<(String, Option<Vec<u8>>)>,
    /// By position in [`Study::samples`]: positions in `stills`.
    of: BTreeMap<usize, Vec<usize>>,
}

impl Neighbours {
    /// Those that the request's audit found, with at most as many thumbnails as it allows.
    ///
    /// # Errors
    /// When the audit cannot be read.
    pub fn of(study: &Study, request: &ReportRequest) -> Result<Self> {
        let Some(audit) = &request.audit else { return Ok(Neighbours::default()) };
        let most = request.max_thumbs;
        let train = Split::Train.name();
        let mut near: BTreeMap<String, Vec<(u32, String)>> = BTreeMap::new();
        for pair in leak_verdicts::pairs(audit)?.into_iter().filter(|p| p.partner_part == train) {
            near.entry(pair.sample_id).or_default().push((pair.distance, pair.partner_id));
        }
        for found in near.values_mut() {
            found.sort();
            found.truncate(MOST);
        }
        let scored = study.samples.iter().enumerate();
        let found = scored.filter_map(|(i, (id, _))| Some((i, near.get(id.as_str())?)));
        let found: Vec<_> = found.collect();
        let ids: BTreeSet<&String> =
            found.iter().flat_map(|(_, n)| n.iter().map(|n| &n.1)).collect();
        let ids: Vec<&String> = ids.into_iter().collect();
        let place = |id: &String| ids.binary_search(&id).ok();
        let of =
            found.iter().map(|(i, near)| (*i, near.iter().filter_map(|n| place(&n.1)).collect()));
        let samples = study.samples_by_id();
        let still = |(at, id): (usize, &&String)| {
            let thumb = if at < most { gallery::thumb(study, &samples, id).ok() } else { None };
            ((*id).clone(), thumb)
        };
        Ok(Neighbours { of: of.collect(), stills: ids.par_iter().enumerate().map(still).collect() })
    }

    /// Names and bytes of the thumbnails.
    pub fn files(&self) -> impl Iterator<Item = (String, &[u8])> {
        let shown = self.stills.iter().enumerate();
        shown.filter_map(|(i, (_, thumb))| Some((path(i), thumb.as_deref()?)))
    }

    /// What the page's script reads: the pictures of train, null for a thumbnail that is not
    /// there, and which belong to a sample by its position.
    pub fn data(&self) -> Value {
        let stills = self.stills.iter().enumerate();
        let stills = stills.map(|(i, (id, thumb))| json!([id, thumb.as_ref().map(|_| path(i))]));
        json!({"stills": stills.collect::<Vec<_>>(), "of": self.of})
    }
}

fn path(index: usize) -> String {
    format!("thumbs/train-{index:05}.jpg")
}
