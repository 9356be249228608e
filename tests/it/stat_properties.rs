//! What must hold for every table, beyond known answers.
use ncaers::internals::{
    seed::Draws,
    stats::{
        clusters::Clusters, margins::Margins, mcnemar, mh, multiplicity, signflip::SignFlip,
        table::ContingencyTable, tail::PValue,
    },
};
use proptest::prelude::*;

fn table(rows: &[Vec<u64>]) -> ContingencyTable {
    ContingencyTable::new(rows).expect("square")
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1e-300)
}

/// Tables of up to nine classes whose counts are 0, small or huge.
fn tables() -> impl Strategy<Value = Vec<Vec<u64>>> {
    let count = prop_oneof![Just(0u64), 0..5u64, 0..1000u64, Just(1u64 << 31)];
    (1usize..=9)
        .prop_flat_map(move |k| prop::collection::vec(prop::collection::vec(count.clone(), k), k))
}

proptest! {
    #[test]
    fn the_diagonal_is_irrelevant(rows in tables(), extra in 0u64..1_000_000) {
        let mut changed = rows.clone();
        (0..rows.len()).for_each(|i| changed[i][i] = extra);
        let (a, b) = (mh::stuart_maxwell(&table(&rows)), mh::stuart_maxwell(&table(&changed)));
        prop_assert_eq!((a.stat, a.df, a.p), (b.stat, b.df, b.p));
    }

    #[test]
    fn transposition_and_relabelling_are_irrelevant(rows in tables(), shuffle in any::<u64>()) {
        let k = rows.len();
        let mut order: Vec<usize> = (0..k).collect();
        Draws::new(shuffle, "test", "").shuffle(&mut order);
        let transposed: Vec<Vec<u64>> =
            (0..k).map(|i| (0..k).map(|j| rows[j][i]).collect()).collect();
        let relabelled: Vec<Vec<u64>> =
            order.iter().map(|&i| order.iter().map(|&j| rows[i][j]).collect()).collect();
        let of = |rows: &[Vec<u64>]| mh::stuart_maxwell(&table(rows));
        let (a, b, c) = (of(&rows), of(&transposed), of(&relabelled));
        prop_assert!(near(a.stat, b.stat) && a.df == b.df);
        prop_assert!(near(a.stat, c.stat) && a.df == c.df, "{} {}", a.stat, c.stat);
    }

    #[test]
    fn counts_scale_the_statistic(rows in tables(), factor in 1u64..1000) {
        let scaled: Vec<Vec<u64>> =
            rows.iter().map(|row| row.iter().map(|c| c * factor).collect()).collect();
        let (a, b) = (mh::stuart_maxwell(&table(&rows)), mh::stuart_maxwell(&table(&scaled)));
        prop_assert!(near(a.stat * factor as f64, b.stat) && a.df == b.df);
    }

    #[test]
    fn two_classes_are_mcnemar(b in 0u64..1 << 40, c in 0u64..1 << 40) {
        let test = mh::stuart_maxwell(&table(&[vec![3, b], vec![c, 5]]));
        prop_assert!(near(test.stat, mcnemar::mcnemar(b, c).chi_square));
    }

    /// The energy of the electrical flow is the least of all flows, and t_ij - t_ji is a flow
    /// (Thomson's principle); on a forest it is the only one.
    #[test]
    fn bowker_bounds_the_statistic(rows in tables()) {
        let t = table(&rows);
        let (test, bowker) = (mh::stuart_maxwell(&t), mh::bowker(&t));
        prop_assert!(test.stat <= bowker.stat * (1.0 + 1e-14));
        prop_assert!(test.stat >= 0.0 && test.stat <= test.discordant as f64);
        prop_assert!(mh::bhapkar(&t).stat >= test.stat);
    }

    #[test]
    fn on_a_tree_the_statistic_is_bowkers(
        edges in prop::collection::vec((any::<u32>(), 0u64..1 << 31, 1u64..1 << 31), 1..29)
    ) {
        let k = edges.len() + 1;
        let mut rows = vec![vec![0; k]; k];
        for (child, &(parent, there, back)) in (1..).zip(&edges) {
            let parent = parent as usize % child;
            (rows[parent][child], rows[child][parent]) = (there, back);
        }
        let t = table(&rows);
        let (test, bowker) = (mh::stuart_maxwell(&t), mh::bowker(&t));
        prop_assert!(near(test.stat, bowker.stat), "{} {}", test.stat, bowker.stat);
        prop_assert_eq!(test.df, bowker.df);
    }

    #[test]
    fn adjusted_p_values_keep_order_and_never_shrink(logs in prop::collection::vec(-900.0..0.0f64, 0..20)) {
        let p: Vec<PValue> = logs.iter().map(|&l| PValue::from_ln(l)).collect();
        for adjusted in [multiplicity::holm(&p), multiplicity::benjamini_hochberg(&p)] {
            for i in 0..p.len() {
                prop_assert!(adjusted[i].log10() >= p[i].log10() && adjusted[i].log10() <= 0.0);
                for j in 0..p.len() {
                    let kept = p[i].log10() > p[j].log10() || adjusted[i].log10() <= adjusted[j].log10();
                    prop_assert!(kept);
                }
            }
        }
    }

    #[test]
    fn clustered_statistics_stay_below_the_clusters(
        pairs in prop::collection::vec((0u8..5, 0u8..5, 0u8..12), 0..80)
    ) {
        let a: Vec<u8> = pairs.iter().map(|p| p.0).collect();
        let b: Vec<u8> = pairs.iter().map(|p| p.1).collect();
        let ids: Vec<String> = pairs.iter().map(|p| p.2.to_string()).collect();
        let clusters = Clusters::by_id(ids.iter().map(String::as_str));
        let margins = Margins::new(5, &a, &b, &clusters);
        if let Some(raw) = margins.raw() {
            prop_assert!(raw.stat >= 0.0 && raw.stat <= clusters.len() as f64 * (1.0 + 1e-12));
            let swapped = Margins::new(5, &b, &a, &clusters).raw().expect("as many clusters");
            prop_assert!(near(raw.stat, swapped.stat) && raw.df == swapped.df);
        }
        for form in [margins.obuchowski(), margins.yang(), margins.durkalski()].into_iter().flatten() {
            prop_assert!(form.stat >= 0.0 && form.stat.is_finite());
        }
        let flip = SignFlip::of(&margins, 19, 1);
        prop_assert!(flip.exact && flip.p.p() > 0.0 && flip.p.p() <= 1.0);
    }
}

#[test]
fn random_tables_of_every_size_give_sound_answers() {
    let mut draws = Draws::new(11, "fuzz", "");
    for round in 0..1500 {
        let k = if round < 93 { round % 31 } else { draws.below(31) as usize };
        let (density, largest) = (draws.uniform(), 1 << draws.below(32));
        let mut count = || if draws.chance(density) { draws.below(largest + 1) } else { 0 };
        let rows: Vec<Vec<u64>> = (0..k).map(|_| (0..k).map(|_| count()).collect()).collect();
        sound(&table(&rows));
    }
}

fn sound(t: &ContingencyTable) {
    let (sm, bhapkar, bowker) = (mh::stuart_maxwell(t), mh::bhapkar(t), mh::bowker(t));
    assert!(sm.stat >= 0.0 && sm.stat <= sm.discordant as f64, "{t:?}");
    assert!(sm.df < t.k().max(1) as u32 && bowker.df <= bowker.df_full);
    assert!(bhapkar.stat >= sm.stat && bowker.stat >= 0.0 && bowker.stat.is_finite());
    let p = [Some(sm.p), Some(bhapkar.p), Some(bowker.p), Some(bowker.p_full), mh::exact(t)];
    for p in p.into_iter().flatten() {
        assert!((0.0..=1.0).contains(&p.p()) && p.log10() <= 0.0, "{p:?} {t:?}");
    }
    assert!(sm.p.to_string() != "0" && mh::exact(t).is_none_or(|p| p.p() > 0.0), "{t:?}");
    assert!(t.kappa().is_none_or(|k| (-1.0..=1.0).contains(&k)));
    let gap = mh::largest_gap(t);
    assert!(gap.is_none_or(|g| g.points.abs() <= 100.0));
}

/// 60 clips of five frames; with probability 0.8 a frame repeats its clip's pair of labels. Both
/// raters are exchangeable, so every rejection is false.
#[test]
fn only_the_paper_s_test_rejects_true_nulls() {
    let mut draws = Draws::new(5, "simulation", "");
    let (rounds, mut plain, mut flipped, mut yang) = (400, 0, 0, 0);
    let ids: Vec<String> = (0..300).map(|i| format!("{:02}", i / 5)).collect();
    let clusters = Clusters::by_id(ids.iter().map(String::as_str));
    for round in 0..rounds {
        let mut pair = (0, 0);
        let (a, b): (Vec<u8>, Vec<u8>) = (0..300)
            .map(|i| {
                let fresh = (draws.below(7) as u8, draws.below(7) as u8);
                pair = if i % 5 == 0 { fresh } else { pair };
                if draws.chance(0.8) {
                    pair
                } else {
                    fresh
                }
            })
            .unzip();
        let margins = Margins::new(7, &a, &b, &clusters);
        let rejects = |p: PValue| usize::from(p.p() <= 0.05);
        plain +=
            rejects(mh::stuart_maxwell(&ContingencyTable::of_pairs(7, a.into_iter().zip(b))).p);
        flipped += rejects(SignFlip::of(&margins, 199, round).p);
        yang += rejects(margins.yang().expect("60 clips").p);
    }
    let rate = |hits: usize| hits as f64 / rounds as f64;
    assert!(rate(plain) > 0.5, "plain {}", rate(plain));
    // Three standard errors of a 5 % rate in 400 rounds are 3.3 points.
    assert!((rate(flipped) - 0.05).abs() < 0.033, "sign flip {}", rate(flipped));
    assert!(rate(yang) < 0.083, "Yang {}", rate(yang));
}
