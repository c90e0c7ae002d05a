//! The floors of a crate as ARCHITECTURE.md draws them: a block that begins with ```` ```floors NAME ````, the highest floor first, rooms of one
//! floor apart by `|`. A room is a module at the top of the crate, a folder or a file.
use crate::imports::Crate;
use std::collections::BTreeMap;

/// Rooms with their floors, 0 the highest.
pub struct Floors(BTreeMap<String, usize>);

impl Floors {
    /// Those of crate `name`, if `map` draws them.
    pub fn of(map: &str, name: &str) -> Option<Self> {
        let start = map.find(&format!("```floors {name}\n"))?;
        let lines = map[start..].lines().skip(1).take_while(|line| !line.starts_with("```"));
        let rooms = lines
            .enumerate()
            .flat_map(|(floor, line)| line.split('|').map(move |room| (room.trim().to_owned(), floor)));
        Some(Self(rooms.filter(|(room, _)| !room.is_empty()).collect()))
    }

    /// What does not fit: rooms that are not drawn or not there, imports upward or along a floor.
    pub fn faults(&self, read: &Crate) -> Vec<String> {
        let (rooms, imports) = read.rooms();
        let mut faults: Vec<String> = rooms
            .iter()
            .filter(|room| !self.0.contains_key(*room))
            .map(|room| format!("{room} stands on no floor"))
            .collect();
        faults.extend(
            self.0.keys().filter(|room| !rooms.contains(*room)).map(|room| format!("{room} is drawn and is not there")),
        );
        for (from, to) in imports {
            if let (Some(a), Some(b)) = (self.0.get(&from), self.0.get(&to))
                && b <= a
            {
                let place = if b == a { "on its floor" } else { "above it" };
                faults.push(format!("{from} imports {to}, which is {place}"));
            }
        }
        faults
    }
}
