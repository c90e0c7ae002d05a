//! A test made ready, once for a model and a query size, in one file: f, the rows of P that tests need, trained CDCs, null laws, and a record
//! of how all of it was made. Afterwards a query needs nothing but this file.
//!
//! The file is safetensors: `f [P]`; `train`, `validation` (inputs `[N, D]`, or logits `[N, C]` where only those are known);
//! `null.METHOD [n, S]`; `weights.METHOD [m, P]`; the record as TOML in the header. Held-out rows are not kept: their null laws are.
use super::base::{Base, Sample};
use super::cdc::Trainer;
use super::choose::{Choice, choose};
use super::method::{Config, Method, Parts};
use super::null::NullLaw;
use super::reference::{Draws, Reference};
use super::test::{ShiftTest, Statistic};
use crate::tensors::{In, Out};
use crate::{Error, Result, Streams};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use thalweg_nets::Architecture;
use thalweg_nets::data::Normalisation;
use thalweg_nets::files::write_whole;
use thalweg_nets::progress::Progress;

/// The header's word for such a file, with its version.
const FORMAT: &str = "thalweg shift calibration 5";

/// How a calibration was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// |Q|.
    pub size: usize,
    /// Tests, the one that gives the verdict first.
    pub methods: Vec<Method>,
    /// Seed of all randomness.
    pub seed: u64,
    /// Null draws.
    pub null: usize,
    /// How they lie among the held-out rows.
    pub draws: Draws,
    /// Rows of P: trained on, chosen on, held out.
    pub rows: [usize; 3],
    /// C.
    pub classes: usize,
    /// f's architecture; none where only its logits are known.
    pub architecture: Option<Architecture>,
    /// How P's inputs were standardised, for queries to be standardised alike; none for inputs as they are.
    pub normalisation: Option<Normalisation>,
    /// What P is called.
    pub data: String,
    /// Parameters in force.
    pub config: Config,
    /// How κ, learning rate and steps were found, where they were.
    pub choice: Option<Choice>,
    /// Seconds that each test took to be made ready, null law included; not in the file, whose bytes are the same for every run.
    #[serde(skip)]
    pub seconds: BTreeMap<String, f64>,
}

/// Tests with their null laws.
pub struct Calibration {
    /// How it was made.
    pub record: Record,
    base: Option<Arc<Base>>,
    reference: Reference,
    tests: Vec<(Box<dyn ShiftTest>, NullLaw)>,
}

/// What one test says of a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The test.
    pub method: &'static str,
    /// Name, whether it counts for the verdict, value, p-value.
    pub statistics: Vec<(&'static str, bool, f64, f64)>,
    /// One p-value of all that count for a verdict, or of all where none does.
    pub p_value: f64,
    /// Whether that p-value speaks of harm, or of any difference.
    pub harmful: bool,
    /// Seconds.
    pub seconds: f64,
}

/// What a calibration is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// f, rows, |Q|, parameters.
    pub parts: Parts<'a>,
    /// Tests, the one that gives the verdict first.
    pub methods: &'a [Method],
    /// Null draws.
    pub null: usize,
    /// Seed.
    pub seed: u64,
    /// How P was standardised.
    pub normalisation: Option<Normalisation>,
    /// What P is called.
    pub data: String,
    /// Whether CDC parameters are to be found on validation draws.
    pub choose: bool,
}

impl Calibration {
    /// Trains what is to be trained and draws the null laws.
    ///
    /// # Errors
    /// No method, one twice, one that needs more than is known; a size beyond the held-out rows; as the tests' own; interruption.
    pub fn make(request: &Request, progress: &dyn Progress) -> Result<Self> {
        let Request { parts, methods, null, seed, .. } = request;
        if methods.is_empty() || (1..methods.len()).any(|i| methods[..i].contains(&methods[i])) {
            let found = methods.iter().map(|m| m.name()).collect::<Vec<_>>().join(", ");
            return Err(Error::parameter("methods", "at least one, none twice", found));
        }
        let streams = Streams::new(*seed).child("shift");
        let (rows, draws) = parts.reference.draws(parts.size, *null, &streams.child("null"))?;
        let queries: Vec<Sample> = rows.iter().map(|r| parts.reference.held.rows(r)).collect();
        let mut config = parts.config.clone();
        let (mut choice, mut seconds) = (None, BTreeMap::new());
        let (mut tests, mut weights) = (Vec::new(), Vec::new());
        progress.begin("calibrating", methods.len() as u64);
        for method in *methods {
            if progress.interrupted() {
                return Err(Error::Interrupted);
            }
            let start = Instant::now();
            if let (true, Method::Detectron, Some(base)) = (request.choose, method, &parts.base) {
                let trainer = Trainer::new(base.clone(), parts.reference, config.cdc, &streams.child("detectron"))?;
                let found = choose(&trainer, parts.reference, config.detectron, parts.size, &streams)?;
                config.cdc = found.config;
                choice = Some(found);
            }
            let parts = Parts { config: &config, ..parts.clone() };
            let test = method.prepare(&parts, None, &streams)?;
            let law = NullLaw::new(test.measure(&queries, &streams.child("law"))?, test.statistics().len())?;
            weights.push(test.weights().len());
            tests.push((test, law));
            seconds.insert(method.name().to_owned(), start.elapsed().as_secs_f64());
            progress.advance(1);
        }
        let record = Record {
            size: parts.size,
            methods: methods.to_vec(),
            seed: *seed,
            null: *null,
            draws,
            rows: [parts.reference.train.len(), parts.reference.validation.len(), parts.reference.held.len()],
            classes: parts.reference.held.classes(),
            architecture: parts.base.as_ref().map(|b| b.architecture().clone()),
            normalisation: request.normalisation.clone(),
            data: request.data.clone(),
            config,
            choice,
            seconds,
        };
        Ok(Self { record, base: parts.base.clone(), reference: parts.reference.clone(), tests })
    }

    /// f; none where only its logits are known.
    pub fn base(&self) -> Option<&Arc<Base>> {
        self.base.as_ref()
    }

    /// The tests with their null laws, in the order of the record's methods.
    pub fn tests(&self) -> impl Iterator<Item = (&dyn ShiftTest, &NullLaw)> {
        self.tests.iter().map(|(test, law)| (test.as_ref(), law))
    }

    /// What every test says of `query`, which has the calibrated number of rows.
    ///
    /// # Errors
    /// Another number of rows; as the tests' own.
    pub fn test(&self, query: &Sample, seed: u64) -> Result<Vec<Finding>> {
        self.fits(query)?;
        let streams = Streams::new(seed).child("shift query");
        let mut findings = Vec::new();
        for (test, law) in &self.tests {
            let start = Instant::now();
            let values = test.measure(std::slice::from_ref(query), &streams)?;
            let p = law.p_values(&values)?;
            let (used, harmful) = used(test.statistics());
            let p_value = law.combined(&values, &used)?;
            let each = test.statistics().iter().zip(values.iter().zip(p));
            findings.push(Finding {
                method: test.name(),
                statistics: each.map(|(s, (v, p))| (s.name, s.verdict, *v, p)).collect(),
                p_value,
                harmful,
                seconds: start.elapsed().as_secs_f64(),
            });
        }
        Ok(findings)
    }

    /// How much each row of the query looks out of place by the first test that can tell, `[N]`.
    ///
    /// # Errors
    /// As [`Self::test`].
    pub fn blame(&self, query: &Sample, seed: u64) -> Result<Vec<f64>> {
        self.fits(query)?;
        let streams = Streams::new(seed).child("shift query");
        for (test, _) in &self.tests {
            let blame = test.blame(query, &streams)?;
            if !blame.is_empty() {
                return Ok(blame);
            }
        }
        Ok(Vec::new())
    }

    fn fits(&self, query: &Sample) -> Result<()> {
        if query.len() == self.record.size {
            return Ok(());
        }
        Err(Error::shape(
            "query Q",
            format!("[{}, D], as calibrated", self.record.size),
            format!("[{}, D]", query.len()),
        ))
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut out = Out::default();
        if let Some(base) = &self.base {
            out.single("f", &[base.theta().len()], base.theta());
        }
        for (name, rows) in [("train", &self.reference.train), ("validation", &self.reference.validation)] {
            let values = if self.base.is_some() { &rows.inputs } else { &rows.logits };
            out.single(name, &[rows.len(), values.len() / rows.len()], values);
        }
        for (test, law) in &self.tests {
            out.double(format!("null.{}", test.name()), &[law.draws(), test.statistics().len()], law.values());
            if let (weights @ [_, ..], Some(base)) = (test.weights(), &self.base) {
                let p = base.theta().len();
                out.single(format!("weights.{}", test.name()), &[weights.len() / p, p], weights);
            }
        }
        let record = toml::to_string(&self.record)
            .map_err(|e| Error::format(path, "calibration", "a record that TOML can hold", e))?;
        out.word("format", FORMAT);
        out.word("record", record);
        write_whole(path, &out.bytes()?)
    }

    /// Reads a file that [`Self::write`] made; tests are made ready again without training.
    ///
    /// # Errors
    /// No such file, another kind of file, tensors that do not fit the record.
    pub fn read(path: &Path) -> Result<Self> {
        let data = std::fs::read(path).map_err(Error::io("read", path))?;
        let file = In::open(path, &data)?;
        if file.word("format") != FORMAT {
            let found = if file.word("format").is_empty() { "nothing" } else { file.word("format") };
            let expected = format!("{FORMAT}, as `thalweg shift calibrate` writes it");
            return Err(Error::format(path, "format", expected, found));
        }
        let record: Record = toml::from_str(file.word("record"))
            .map_err(|e| Error::format(path, "record", "a record of this version", e))?;
        let base = match &record.architecture {
            Some(net) => Some(Arc::new(Base::new(net, file.any("f")?.1)?)),
            None => None,
        };
        let rows = |name: &str| -> Result<Sample> {
            let (shape, values) = file.any(name)?;
            match (&base, &shape[..]) {
                (Some(base), [_, _]) => base.sample(&values),
                (None, [_, c]) if *c == record.classes => Sample::of_logits(values, *c),
                _ => {
                    Err(Error::format(path, format!("tensor {name}"), "[N, D], or logits [N, C]", format!("{shape:?}")))
                }
            }
        };
        let (train, validation) = (rows("train")?, rows("validation")?);
        let held = validation.rows(&[0]);
        let reference = Reference::new(train, validation, held)?;
        let streams = Streams::new(record.seed).child("shift");
        let parts =
            Parts { base: base.clone(), reference: &reference, labels: &[], size: record.size, config: &record.config };
        let mut tests = Vec::new();
        for method in &record.methods {
            let kept = format!("weights.{}", method.name());
            let weights = file.shape(&kept).map(|_| file.any(&kept)).transpose()?.map(|(_, weights)| weights);
            let test = method.prepare(&parts, weights, &streams)?;
            let values = file.double(&format!("null.{}", method.name()))?;
            let law = NullLaw::new(values, test.statistics().len())?;
            tests.push((test, law));
        }
        Ok(Self { record, base, reference, tests })
    }
}

/// The statistics that make one p-value: those for the verdict, or all where none is; and whether it then speaks of harm.
pub fn used(statistics: &[Statistic]) -> (Vec<bool>, bool) {
    let harmful = statistics.iter().any(|s| s.verdict);
    (statistics.iter().map(|s| s.verdict || !harmful).collect(), harmful)
}

#[cfg(test)]
mod tests {
    use super::super::method::small;
    use super::super::world;
    use super::*;
    use thalweg_nets::progress::Silent;

    #[test]
    fn a_file_says_of_a_query_what_was_said_before_it_was_written() {
        let world = world::two_clouds(1);
        let config = small(30);
        let request = Request {
            parts: Parts {
                base: Some(world.base.clone()),
                reference: &world.reference,
                labels: &world.labels,
                size: 10,
                config: &config,
            },
            methods: &Method::ALL,
            null: 40,
            seed: 3,
            normalisation: None,
            data: "clouds".into(),
            choose: true,
        };
        let made = Calibration::make(&request, &Silent).unwrap();
        assert_eq!(made.record.draws, Draws::Disjoint);
        assert!(made.record.choice.as_ref().is_some_and(|c| c.inside));
        let path = tempfile::tempdir().unwrap().path().join("c.safetensors");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        made.write(&path).unwrap();
        let read = Calibration::read(&path).unwrap();
        let seconds = made.record.seconds.clone();
        assert_eq!(Record { seconds, ..read.record.clone() }, made.record);
        for query in [world.near(10, 5), world.far(10, 5)] {
            let of = |c: &Calibration| {
                c.test(&query, 9).unwrap().into_iter().map(|f| (f.method, f.statistics, f.p_value)).collect::<Vec<_>>()
            };
            assert_eq!(of(&made), of(&read));
        }
        let found = read.test(&world.far(10, 5), 9).unwrap();
        assert!(found[0].method == "bank" && found[0].harmful && found[0].p_value < 0.03, "{:?}", found[0]);
        assert!(read.test(&world.near(10, 6), 9).unwrap()[0].p_value > 0.05);
        assert_eq!(read.blame(&world.far(10, 5), 9).unwrap().len(), 10);
        assert!(read.test(&world.near(9, 6), 9).unwrap_err().to_string().contains("as calibrated"));
        std::fs::write(&path, b"no").unwrap();
        assert!(Calibration::read(&path).is_err());
    }

    #[test]
    fn logits_alone_calibrate_what_needs_no_more() {
        let world = world::two_clouds(1);
        let of = |s: &Sample| Sample::of_logits(s.logits.clone(), 2).unwrap();
        let r = &world.reference;
        let reference = Reference::new(of(&r.train), of(&r.validation), of(&r.held)).unwrap();
        let config = Config::default();
        let request = |methods| Request {
            parts: Parts { base: None, reference: &reference, labels: &[], size: 8, config: &config },
            methods,
            null: 50,
            seed: 1,
            normalisation: None,
            data: "logits".into(),
            choose: true,
        };
        let made = Calibration::make(&request(&[Method::Entropy, Method::Bbsd]), &Silent).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.safetensors");
        made.write(&path).unwrap();
        let read = Calibration::read(&path).unwrap();
        assert_eq!(
            read.test(&of(&world.near(8, 2)), 0).unwrap()[1].p_value,
            made.test(&of(&world.near(8, 2)), 0).unwrap()[1].p_value
        );
        assert!(Calibration::make(&request(&[Method::Bank]), &Silent).is_err());
        assert!(Calibration::make(&request(&[Method::Entropy, Method::Entropy]), &Silent).is_err());
        assert!(Calibration::make(&request(&[]), &Silent).is_err());
    }
}
