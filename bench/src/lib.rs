//! The lab's tester.
