//! What a forward pass leaves for the backward pass: buffers owned by the caller, grown once and used again.
use std::any::Any;

/// The buffers of one field in use. Starts empty; fits whichever field it meets, and changes over when it meets another kind.
#[derive(Default)]
pub struct Tape(Option<Box<dyn Any + Send>>);

impl Tape {
    /// The buffers of type `T`, empty ones if the tape held none or another kind.
    pub fn of<T: Any + Send + Default>(&mut self) -> &mut T {
        if !self.0.as_ref().is_some_and(|held| held.is::<T>()) {
            self.0 = Some(Box::new(T::default()));
        }
        self.0.as_mut().and_then(|held| held.downcast_mut()).expect("the type was made sure of above")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_buffers_until_another_kind_asks() {
        let mut tape = Tape::default();
        tape.of::<Vec<f32>>().push(1.0);
        assert_eq!(tape.of::<Vec<f32>>().len(), 1);
        assert_eq!(*tape.of::<u8>(), 0);
        assert!(tape.of::<Vec<f32>>().is_empty());
    }
}
