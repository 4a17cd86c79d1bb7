"""What the screen knows, without a screen: values, reading, filters, text and plans of action. Imports no Textual and no Rich."""
