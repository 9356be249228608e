//! Forward and backward of one network on random pictures; one JSON line.
//!
//! `cargo bench --bench models -- --model glamor --batch 32 --steps 5 --windows 3 --threads 2
//! --precision fp32 --channels-last`. `benches/compare.py --part passes` runs it beside PyTorch.
//! `--faces N` instead measures N faces of one picture, its context encoded once and N times.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is its result")]
#[cfg(not(feature = "torch"))]
fn main() {}

#[cfg(feature = "torch")]
fn main() {
    let options = speed::Options::parse(std::env::args().skip(1));
    ncaers::internals::train::keep_memory().expect("LibTorch opens");
    println!("{}", speed::measure(&options));
}

#[cfg(feature = "torch")]
mod speed {
    use std::{collections::BTreeMap, time::Instant};

    use ncaers::internals::model::{self, Input, Inputs, Model, ModelConfig, Pass};
    use serde_json::json;
    use tch::{nn, Device, Kind, Tensor};

    /// The words of the command line by name; flags hold an empty word.
    pub struct Options(BTreeMap<String, String>);

    impl Options {
        pub fn parse(words: impl Iterator<Item = String>) -> Self {
            let mut options = BTreeMap::new();
            let mut last = String::new();
            for word in words {
                match word.strip_prefix("--") {
                    Some(name) => {
                        last = name.to_owned();
                        options.insert(last.clone(), String::new());
                    }
                    None => drop(options.insert(last.clone(), word)),
                }
            }
            Options(options)
        }

        fn number(&self, name: &str, default: i64) -> i64 {
            let word = self.0.get(name);
            word.map_or(default, |word| word.parse().unwrap_or_else(|_| panic!("--{name} {word}")))
        }
    }

    /// The configuration of `glamor`, `glamor_resnet18`, `caer_net_s` and so on.
    fn configuration(name: &str) -> ModelConfig {
        let table = match name.strip_prefix("glamor_") {
            Some(backbone) => json!({"backbone": backbone}),
            None => json!({ "name": name }),
        };
        serde_json::from_value(table).expect("a known model")
    }

    /// Seconds of CPU time that this process has used.
    fn cpu_seconds() -> f64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the clock writes into a timespec that lives here.
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }

    pub fn measure(options: &Options) -> serde_json::Value {
        let name = options.0.get("model").map_or("glamor", String::as_str);
        let batch = options.number("batch", 32);
        let precision = options.0.get("precision").map_or("fp32", String::as_str);
        tch::set_num_threads(options.number("threads", 1) as i32);
        tch::manual_seed(0);
        let store = nn::VarStore::new(Device::Cpu);
        let net = model::build(&store.root(), &configuration(name)).expect("builds");
        let last = options.0.contains_key("channels-last");
        let layout = |x: Tensor| match last {
            true => x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
            false => x,
        };
        for (_, mut weight) in store.variables().into_iter().filter(|(_, t)| t.dim() == 4) {
            weight.set_data(&layout(weight.detach()));
        }
        let pictures: BTreeMap<Input, Tensor> = net
            .slots()
            .into_iter()
            .map(|slot| {
                let shape = [batch, 3, slot.height, slot.width];
                (slot.input, layout(Tensor::randn(shape, (Kind::Float, Device::Cpu))))
            })
            .collect();
        let labels = Tensor::randint(7, [batch], (Kind::Int64, Device::Cpu));
        if options.0.contains_key("faces") {
            return shared_context(net.as_ref(), options.number("faces", 8));
        }
        let step = || {
            let of = |input| pictures.get(&input);
            let inputs = Inputs {
                face: of(Input::Face),
                context: of(Input::Context),
                image: of(Input::Image),
            };
            let kind = if precision == "bf16" { Kind::BFloat16 } else { Kind::Float };
            let outputs = net.run(&inputs, &Pass::new(true).in_kind(kind)).expect("evaluates");
            outputs.logits.cross_entropy_for_logits(&labels).backward();
            for mut weight in store.trainable_variables() {
                weight.zero_grad();
            }
        };
        (0..options.number("warmup", 2)).for_each(|_| step());
        let steps = options.number("steps", 5);
        let windows: Vec<[f64; 2]> = (0..options.number("windows", 3))
            .map(|_| {
                let (wall, cpu) = (Instant::now(), cpu_seconds());
                (0..steps).for_each(|_| step());
                let cpu = cpu_seconds() - cpu;
                [wall.elapsed().as_secs_f64() / steps as f64, cpu / steps as f64]
            })
            .collect();
        let least = |at: usize| windows.iter().map(|w| w[at]).fold(f64::INFINITY, f64::min);
        let mut rates: Vec<f64> = windows.iter().map(|w| batch as f64 / w[0]).collect();
        rates.sort_by(f64::total_cmp);
        let cpu = windows.iter().map(|w| w[1]).sum::<f64>() / windows.len() as f64;
        json!({
            "images_per_s": rates[rates.len() / 2], "cpu_s_per_step": cpu,
            "tool": "ncaers", "model": name, "batch": batch, "precision": precision,
            "channels_last": last, "threads": tch::get_num_threads(),
            "wall_s_per_step": least(0), "windows": windows,
        })
    }

    /// Milliseconds for N faces of one picture, least of five.
    fn shared_context(net: &dyn Model, faces: i64) -> serde_json::Value {
        let draw = |n, side| Tensor::randn([n, 3, side, side], (Kind::Float, Device::Cpu));
        let (context, faces_of_it) = (draw(1, 112), draw(faces, 96));
        let repeated = context.repeat([faces, 1, 1, 1]);
        let inputs = Inputs { face: Some(&faces_of_it), context: Some(&repeated), image: None };
        let least = |run: &dyn Fn()| {
            let time = |_| {
                let start = Instant::now();
                tch::no_grad(run);
                start.elapsed().as_secs_f64() * 1e3
            };
            (0..6).map(time).fold(f64::INFINITY, f64::min)
        };
        let once = least(&|| drop(net.forward_faces(&context, &faces_of_it).expect("evaluates")));
        let each = least(&|| drop(net.forward(&inputs, false).expect("evaluates")));
        json!({"faces": faces, "context_once_ms": once, "context_each_ms": each})
    }
}
