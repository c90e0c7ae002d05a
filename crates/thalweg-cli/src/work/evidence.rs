//! What a zoo is and what it is good for: how its runs belong together and by what that is known, whether they are enough, and the command that works.
use super::next::Next;
use super::outlook::{Outlook, Prospect};
use crate::results::Row;
use crate::row;
use anyhow::Result;
use std::path::Path;
use thalweg::fit::Character;
use thalweg::model::Split;
use thalweg_nets::zoo::ZooStore;

/// Fewer training runs than this are few.
const FEW: usize = 24;

/// What is known of a zoo.
pub struct Evidence {
    character: Character,
    prospect: Option<Prospect>,
    next: Next,
}

impl Evidence {
    /// Of the zoo in `dir`; on its validation rows where it knows its architecture and its data.
    ///
    /// # Errors
    /// A zoo that cannot be read.
    pub fn of(zoo: &ZooStore, dir: &Path) -> Result<Self> {
        let (character, prospect) = (Character::of(zoo)?, Outlook::of_made(zoo, dir)?);
        let next = Next::of(zoo, dir, prospect)?;
        Ok(Self { character, prospect, next })
    }

    /// In sentences, with the command that works.
    pub fn told(&self, zoo: &ZooStore) -> String {
        let mut lines = self.character.told();
        lines.extend(self.prospect.map(Prospect::told));
        if let Ok(split) = Split::default().of(zoo) {
            let few = if split.train.len() < FEW { "; some dozens are better" } else { "" };
            let [train, validation, test] = [&split.train, &split.validation, &split.test].map(Vec::len);
            lines.push(format!(
                "a fit learns from {train} runs, chooses on {validation} and leaves {test} to report on{few}"
            ));
        }
        let lines = lines.iter().map(|line| format!("- {line}\n")).collect::<String>();
        match &self.next {
            Next::Run { command, because: None } => format!("{lines}Next: {command}"),
            Next::Run { command, because: Some(because) } => format!("{lines}({because})\nNext: {command}"),
            Next::Nothing { because } => format!("{lines}Nothing can be fitted to it: {because}."),
        }
    }

    /// As a row of results.
    pub fn row(&self) -> Row {
        let character = &self.character;
        let mut row = row! {
            "relation" => character.relation.describe(), "relation_recorded" => character.recorded,
            "common_share" => character.common, "serial_ratio" => character.serial, "families" => character.families,
        };
        if let Some(Prospect::Good { accuracy, middle, pairs } | Prospect::Unconnected { accuracy, middle, pairs }) =
            self.prospect
        {
            row.extend(row! { "accuracy_runs" => accuracy, "accuracy_halfway" => middle, "pairs" => pairs });
        }
        if let Next::Run { command, .. } = &self.next {
            row.extend(row! { "next" => command });
        }
        row
    }
}
