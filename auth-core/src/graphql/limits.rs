//! Bounds on what one document may ask for, checked before anything is validated or run (ASVS 5.0, 4.3.1).
//!
//! One walk expands fragments the way execution would and stops at the first bound, so neither aliases nor fragments
//! that spread each other can multiply work: not here, not in validation, and not the one expensive thing, a hash.
//! Everything that validation might have to complain about is counted, and no name is long, so its errors are bounded, too.

use std::collections::HashMap;

use async_graphql::parser::types::{BaseType, Type, VariableDefinition};
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, FragmentDefinition, OperationDefinition,
    OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, Value};

use crate::operation::Operation;

const MAX_BRACKETS: usize = 256;
const MAX_DEPTH: usize = 8;
const MAX_SELECTIONS: usize = 200;
const MAX_ALIASES: usize = 10;
const MAX_DIRECTIVES: usize = 10;
const MAX_VARIABLES: usize = 20;
const MAX_ARGUMENTS: usize = 100;
const MAX_VALUES: usize = 200;

/// What an argument can be: GraphQL's own scalars. A test holds the schema to it.
pub const INPUT_TYPES: [&str; 5] = ["Boolean", "Float", "ID", "Int", "String"];

/// Longest name of anything, in bytes: errors repeat names.
const MAX_NAME: usize = 100;

/// Tools ask for types within types, as many as `[[String!]!]!` could have. It costs no more than the schema is long.
const MAX_INTROSPECTION_DEPTH: usize = 20;
const MAX_INTROSPECTED: usize = 2000;

/// Why a document is refused, for people.
pub type Refusal = &'static str;

/// Refuses text with so many brackets that the parser, which calls itself for each level, might run out of stack.
///
/// Brackets in strings count too: a scanner that skips strings can be led astray, a plain count cannot.
///
/// # Errors
/// [`Refusal`]
pub fn check_brackets(query: &str) -> Result<(), Refusal> {
    let opening = query
        .bytes()
        .filter(|byte| matches!(byte, b'{' | b'[' | b'('));
    if opening.count() > MAX_BRACKETS {
        return Err("The query has too many brackets.");
    }
    Ok(())
}

/// Refuses variables with so many values, nested ones included, that it takes much memory to keep them.
///
/// # Errors
/// [`Refusal`]
pub fn check_variables(
    variables: &serde_json::Map<String, serde_json::Value>,
) -> Result<(), Refusal> {
    fn count(value: &serde_json::Value) -> usize {
        1 + match value {
            serde_json::Value::Array(values) => values.iter().map(count).sum(),
            serde_json::Value::Object(values) => values.values().map(count).sum(),
            _ => 0,
        }
    }
    if variables.values().map(count).sum::<usize>() > MAX_VALUES {
        return Err("The variables have too many values.");
    }
    Ok(())
}

/// Finds the operation that is to run, after checking the whole document against the bounds.
///
/// With `introspection`, what asks for the schema has wider bounds of its own.
///
/// # Errors
/// [`Refusal`]
pub fn select(
    document: &ExecutableDocument,
    operation_name: Option<&str>,
    introspection: bool,
) -> Result<(OperationType, Operation), Refusal> {
    let mut walk = Walk {
        fragments: &document.fragments,
        introspection,
        selections: 0,
        introspected: 0,
        aliases: 0,
        directives: 0,
        variables: 0,
        arguments: 0,
        values: 0,
        mutations: 0,
        asked_for: Operation::Other,
    };
    for (fragment_name, fragment) in &document.fragments {
        name(fragment_name)?;
        walk.directives(&fragment.node.directives)?;
        let on = &fragment.node.type_condition.node.on.node;
        name(on)?;
        let about_schema = introspection && on.as_str().starts_with("__");
        walk.selection_set(&fragment.node.selection_set.node, 1, about_schema)?;
    }
    let selected = find(&document.operations, operation_name);
    let mut asked_for = Operation::Other;
    for (operation_name, operation) in document.operations.iter() {
        operation_name.map_or(Ok(()), name)?;
        walk.operation(&operation.node)?;
        if selected.is_ok_and(|selected| std::ptr::eq(selected, &operation.node)) {
            asked_for = walk.asked_for;
        }
    }
    Ok((selected?.ty, asked_for))
}

fn name(name: &Name) -> Result<(), Refusal> {
    if name.len() > MAX_NAME {
        return Err("The query has a name that is too long.");
    }
    Ok(())
}

fn find<'a>(
    operations: &'a DocumentOperations,
    name: Option<&str>,
) -> Result<&'a OperationDefinition, Refusal> {
    match (operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(&operation.node),
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .get(name)
            .map(|operation| &operation.node)
            .ok_or("The document has no operation with this operationName."),
        (DocumentOperations::Multiple(operations), None) => match operations.values().next() {
            Some(operation) if operations.len() == 1 => Ok(&operation.node),
            _ => {
                Err("The document has several operations; operationName must say which one to run.")
            }
        },
        (DocumentOperations::Single(_), Some(_)) => {
            Err("The document has no operation with this operationName.")
        }
    }
}

struct Walk<'a> {
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    introspection: bool,
    selections: usize,
    introspected: usize,
    aliases: usize,
    directives: usize,
    variables: usize,
    arguments: usize,
    values: usize,
    mutations: usize,
    /// What the operation is about: its mutation, or the first of its queries that has a name of its own.
    asked_for: Operation,
}

impl<'a> Walk<'a> {
    fn operation(&mut self, operation: &'a OperationDefinition) -> Result<(), Refusal> {
        self.mutations = 0;
        self.asked_for = Operation::Other;
        self.directives(&operation.directives)?;
        for variable in &operation.variable_definitions {
            self.variable(&variable.node)?;
        }
        self.selection_set(&operation.selection_set.node, 1, false)
    }

    fn selection_set(
        &mut self,
        set: &'a SelectionSet,
        depth: usize,
        about_schema: bool,
    ) -> Result<(), Refusal> {
        let (max_depth, max_selections) = if about_schema {
            (MAX_INTROSPECTION_DEPTH, MAX_INTROSPECTED)
        } else {
            (MAX_DEPTH, MAX_SELECTIONS)
        };
        if depth > max_depth {
            return Err("The query is nested too deep.");
        }
        for selection in &set.items {
            let selections = if about_schema {
                &mut self.introspected
            } else {
                &mut self.selections
            };
            *selections += 1;
            if *selections > max_selections {
                return Err("The query selects too many fields.");
            }
            match &selection.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    name(&field.name.node)?;
                    self.directives(&field.directives)?;
                    for (argument, value) in &field.arguments {
                        let value = value.node.clone().into_const_with(without_variable)?;
                        self.argument(&argument.node, &value)?;
                    }
                    if let Some(alias) = &field.alias {
                        name(&alias.node)?;
                        self.aliases += 1;
                    }
                    if self.aliases > MAX_ALIASES {
                        return Err("The query has too many aliases.");
                    }
                    let operation = Operation::of_field(field.name.node.as_str());
                    if self.asked_for == Operation::Other || operation.is_mutation() {
                        self.asked_for = operation;
                    }
                    self.mutations += usize::from(operation.is_mutation());
                    // Not two hashes, and for an Idempotency-Key not two answers to remember.
                    if self.mutations > 1 {
                        return Err("A request may have only one mutation.");
                    }
                    let field_name = field.name.node.as_str();
                    let about_schema = about_schema
                        || self.introspection && matches!(field_name, "__schema" | "__type");
                    self.selection_set(&field.selection_set.node, depth + 1, about_schema)?;
                }
                Selection::FragmentSpread(spread) => {
                    name(&spread.node.fragment_name.node)?;
                    self.directives(&spread.node.directives)?;
                    // An unknown fragment is for validation to report.
                    if let Some(fragment) = self.fragments.get(&spread.node.fragment_name.node) {
                        let set = &fragment.node.selection_set.node;
                        self.selection_set(set, depth + 1, about_schema)?;
                    }
                }
                Selection::InlineFragment(fragment) => {
                    if let Some(condition) = &fragment.node.type_condition {
                        name(&condition.node.on.node)?;
                    }
                    self.directives(&fragment.node.directives)?;
                    let set = &fragment.node.selection_set.node;
                    self.selection_set(set, depth + 1, about_schema)?;
                }
            }
        }
        Ok(())
    }

    fn variable(&mut self, variable: &VariableDefinition) -> Result<(), Refusal> {
        self.variables += 1;
        if self.variables > MAX_VARIABLES {
            return Err("The query has too many variables.");
        }
        name(&variable.name.node)?;
        let of = innermost(&variable.var_type.node);
        name(of)?;
        // The validation of async-graphql 7.2 panics on a default value of a type that it does not know.
        if !INPUT_TYPES.contains(&of.as_str()) {
            return Err("The query has a variable of a type that no argument has.");
        }
        self.directives(&variable.directives)?;
        match &variable.default_value {
            Some(default) => self.value(&default.node),
            None => Ok(()),
        }
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) -> Result<(), Refusal> {
        self.directives += directives.len();
        if self.directives > MAX_DIRECTIVES {
            return Err("The query has too many directives.");
        }
        for directive in directives {
            name(&directive.node.name.node)?;
            for (argument, value) in &directive.node.arguments {
                let value = value.node.clone().into_const_with(without_variable)?;
                self.argument(&argument.node, &value)?;
            }
        }
        Ok(())
    }

    fn argument(&mut self, argument: &Name, value: &Value) -> Result<(), Refusal> {
        self.arguments += 1;
        if self.arguments > MAX_ARGUMENTS {
            return Err("The query has too many arguments.");
        }
        name(argument)?;
        self.value(value)
    }

    fn value(&mut self, value: &Value) -> Result<(), Refusal> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err("The query has too many values.");
        }
        match value {
            Value::Enum(word) => name(word),
            Value::List(values) => values.iter().try_for_each(|value| self.value(value)),
            Value::Object(fields) => fields.iter().try_for_each(|(field, value)| {
                name(field)?;
                self.value(value)
            }),
            _ => Ok(()),
        }
    }
}

/// A value in place of a variable, of which only the name matters here.
fn without_variable(variable: Name) -> Result<Value, Refusal> {
    name(&variable).map(|()| Value::Null)
}

fn innermost(of: &Type) -> &Name {
    match &of.base {
        BaseType::Named(name) => name,
        BaseType::List(of) => innermost(of),
    }
}
