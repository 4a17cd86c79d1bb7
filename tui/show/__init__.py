"""How rows become words on the screen: columns, cells and lines of spans. No Textual, no store, no clock: values in, text out."""
