//! What is out of the ordinary about a record (R53, R54): data here, prose in [`Explanation`](crate::Explanation).

use crate::outcome::words;

words! {
    /// Why a record is an outlier.
    OutlierReason {
        /// The in was too long before the start (R30, R53).
        InTooEarly = "in_too_early",
        /// The in was too long after the start (R53).
        InTooLate = "in_too_late",
        /// The out was too long before the end (R53).
        OutTooEarly = "out_too_early",
        /// The out was too long after the end (R30, R53).
        OutTooLate = "out_too_late",
        /// The in was at an unusual time for this person (R54).
        InUnusual = "in_unusual",
        /// The out was at an unusual time for this person (R54).
        OutUnusual = "out_unusual",
    }
}
