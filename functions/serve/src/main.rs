mod catalog;

fn main() {}
