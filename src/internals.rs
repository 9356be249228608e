//! Parts of the program by the names of their rooms, for this project's own tests, benches and
//! measurements, which look at one step where the facade runs a whole stage. They may change with
//! any commit. What is listed here is all that is reachable: anything else that nobody calls is
//! reported by the compiler.
#![allow(missing_docs, reason = "the items are documented where they are defined")]

pub mod atomic {
    pub use crate::atomic::write;
}

pub mod corpus {
    pub use crate::corpus::{ClipSource, Listing};
}

pub mod dataset {
    pub use crate::dataset::{
        locate, tables, ClipResult, ClipResults, Config, Configuration, DecodedFacts, Parts,
        SavedFrame,
    };
}

pub mod digest {
    pub use crate::digest::{sha256_file, sha256_hex};
}

pub mod face {
    pub use crate::face::{best_first, mmod, seeta, Detector, DetectorRequest, Luma, LumaDetector};
}

pub mod folder {
    pub use crate::folder::{claim, claim_standing, configuration, Claim};
}

pub mod media {
    pub use crate::media::{encode, image, orientation, video};
}

pub mod metric {
    pub use crate::metric::{
        class_ratios, macro_f1, per_class, reliability, temperature, Absent, Bin, Confusion,
        Evaluation, Tally, TallyRow, METRICS,
    };
}

#[cfg(feature = "torch")]
pub mod model {
    pub use crate::model::*;
}

pub mod pack {
    pub use crate::pack::{Pack, PackInput};
}

pub mod report {
    pub mod figure {
        pub use crate::report::figure::{growth, Growth};
    }
}

pub mod sampling {
    pub use crate::sampling::{segments, targets};
}

pub mod seed {
    pub use crate::seed::Draws;
}

pub mod similarity {
    pub use crate::similarity::{
        features, groups, hash, images, leak, near_duplicates, pairs, plane, runs, view, Member,
    };
}

pub mod words {
    pub use crate::words::Store;
}

pub mod stats {
    pub use crate::stats::{
        answers, clusters, comparison, crossed, effect, equivalence, interval, margins, mcnemar,
        mh, multiplicity, planning, pooled, resample, seeds, share, signflip, student, table, tail,
    };
}

#[cfg(feature = "torch")]
pub mod annotate {
    pub use crate::annotate::{pixels, AnnotateSettings};
}

#[cfg(feature = "torch")]
pub mod train {
    pub use crate::train::{keep_memory, FaceReader, Optimizer, OptimizerKind, Rule};
}

#[cfg(feature = "torch")]
pub mod weights {
    pub use crate::weights::{load, read, read_key, tensors_of, write, Error};
}
