//! Calibrations kept by the hash of all that they depend on, so that the same question about other rows trains nothing.
use crate::session::Session;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use thalweg::shift::calibration::{Calibration, Request};
use thalweg_nets::Error;
use thalweg_nets::data::place;

/// Where they are kept: the folder given, or one in the user's cache folder.
///
/// # Errors
/// No cache folder is known.
pub fn folder(given: Option<&Path>) -> Result<PathBuf> {
    let own = || place::cache().map(|cache| cache.join("shift"));
    let none = "no cache folder is known (neither XDG_CACHE_HOME nor HOME is set): --cache DIR names one, --no-cache keeps nothing";
    given.map(Path::to_path_buf).or_else(own).context(none)
}

/// The calibration that `request` asks for, and whether it was there: read from `folder`, or made and kept there; made alone where there is no folder.
///
/// # Errors
/// As [`Request::check`] and [`Calibration::make`]; a folder that cannot be written to.
pub fn calibrated(request: &Request, folder: Option<&Path>, session: &Session) -> Result<(Calibration, bool)> {
    request.check()?;
    let path = folder.map(|folder| folder.join(format!("{}.cal", request.key())));
    if let Some(path) = path.as_ref().filter(|path| path.exists()) {
        match Calibration::read(path) {
            Ok(calibration) => {
                session.say(&format!("Calibration read from {}: nothing is trained.", path.display()));
                return Ok((calibration, true));
            }
            Err(error) => session.say(&format!("{error}: the calibration is made anew.")),
        }
    }
    let begun = Instant::now();
    let calibration = Calibration::make(request, &session.progress)?;
    session.progress.end();
    let seconds = begun.elapsed().as_secs_f64();
    if let (Some(folder), Some(path)) = (folder, &path) {
        made(folder)
            .with_context(|| format!("{}: --cache DIR names another folder, --no-cache none", folder.display()))?;
        calibration.write(path)?;
        session.say(&format!(
            "Calibrated in {seconds:.1} s and kept for other rows in {} (it holds rows of P).",
            path.display()
        ));
    }
    Ok((calibration, false))
}

/// Makes the folder where it is not there, for its owner alone: calibrations hold rows of P.
fn made(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(Error::io("make", folder))
}
