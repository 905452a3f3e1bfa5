//! Question banks and attempts at them.
//!
//! An **instrument** is a questionnaire by name (`eq`), a **question bank** one published version of it.
//! An **exam** is one attempt: it asks some **items** of one bank, picked for this attempt. A member gives
//! every item an **answer** from 1 (never) to 5 (always); an item is **reverse-keyed** when agreeing with it
//! speaks against its category, and its **keyed value** has that turned round. A **pair** is two items that
//! ask much the same; how far their keyed values lie apart tells whether the answers are **consistent**.
//! A category's result falls into a **band**. Results are indicative, not a diagnosis.

pub mod exam;
pub mod question_bank;
pub mod recommendation;
