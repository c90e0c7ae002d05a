//! The heart data by hospital, with all of their rows: gaps, which the plain data set does not have, are filled with the means of P's training rows.
use anyhow::Result;
use std::path::PathBuf;
use thalweg_nets::data::place::root;
use thalweg_nets::data::readers::heart::{Cells, FEATURES, read_cells};
use thalweg_nets::data::split::cut;
use thalweg_nets::data::{DataSpec, Dataset, Normalisation, Site};

/// The column of cholesterol, 0 where it was not measured.
const CHOLESTEROL: usize = 4;

fn file(spec: &DataSpec) -> Result<PathBuf> {
    const FILE: &str = "heart_disease_uci.csv";
    let folder = match &spec.folder {
        Some(folder) => folder.clone(),
        None => root()?.join("heart"),
    };
    Ok(if folder.is_file() { folder } else { folder.join(FILE) })
}

/// Training, validation and test rows of the hospitals of P, cut by the seed; moments and fillings are those of the training rows.
///
/// # Errors
/// Data that cannot be had, more rows than there are.
pub fn of_sites(spec: &DataSpec, sites: &[Site]) -> Result<[Dataset; 3]> {
    let cells = read_cells(&file(spec)?, sites)?;
    let (validation, test) = (spec.validation.unwrap_or(60), spec.test.unwrap_or(120));
    let rows = cut(cells.labels.len(), spec.train, validation, Some(test), spec.seed)?;
    let mut normal = Normalisation { mean: Vec::new(), std: Vec::new(), range: None, offset: Vec::new() };
    for j in 0..FEATURES.len() {
        let known: Vec<f64> = rows.train.iter().filter_map(|&r| cells.rows[r][j]).map(f64::from).collect();
        let n = known.len().max(1) as f64;
        let mean = known.iter().sum::<f64>() / n;
        let std = (known.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        normal.mean.push(mean as f32);
        normal.std.push(if std > 0.0 { std as f32 } else { 1.0 });
    }
    let part = |rows: &[usize]| filled(&cells, rows, &normal);
    Ok([part(&rows.train)?, part(&rows.validation)?, part(&rows.test)?])
}

/// All rows of other hospitals, standardised as P is.
///
/// # Errors
/// Data that cannot be had.
pub fn away(spec: &DataSpec, sites: &[Site], normal: &Normalisation) -> Result<Dataset> {
    let cells = read_cells(&file(spec)?, sites)?;
    let all: Vec<usize> = (0..cells.labels.len()).collect();
    filled(&cells, &all, normal)
}

/// `data` with cholesterol that was not measured at P's mean.
pub fn imputed(mut data: Dataset, normal: &Normalisation) -> Dataset {
    let wide = data.input_len();
    for row in data.inputs.chunks_exact_mut(wide) {
        let raw = row[CHOLESTEROL] * normal.std[CHOLESTEROL] + normal.mean[CHOLESTEROL];
        if raw.abs() < 0.5 {
            row[CHOLESTEROL] = 0.0;
        }
    }
    data
}

/// The given rows, standardised, with gaps at the mean.
fn filled(cells: &Cells, rows: &[usize], normal: &Normalisation) -> Result<Dataset> {
    let value = |r: usize, j: usize| cells.rows[r][j].map_or(0.0, |v| (v - normal.mean[j]) / normal.std[j]);
    let inputs = rows.iter().flat_map(|&r| (0..FEATURES.len()).map(move |j| value(r, j))).collect();
    let labels = rows.iter().map(|&r| cells.labels[r]).collect();
    Ok(Dataset::new("heart", [FEATURES.len(), 1, 1], 2, inputs, labels, normal.clone())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cholesterol_that_was_not_measured_is_imputed() {
        let ones = vec![1.0; FEATURES.len()];
        let normal =
            Normalisation { mean: vec![200.0; FEATURES.len()], std: ones.clone(), range: None, offset: vec![] };
        // In raw units: 0 everywhere, then 180 everywhere.
        let inputs = [vec![-200.0; FEATURES.len()], vec![-20.0; FEATURES.len()]].concat();
        let data =
            Dataset::new("heart", [FEATURES.len(), 1, 1], 2, inputs.clone(), vec![0, 1], normal.clone()).unwrap();
        let mut expected = inputs;
        expected[CHOLESTEROL] = 0.0;
        assert_eq!(imputed(data, &normal).inputs, expected);
    }
}
