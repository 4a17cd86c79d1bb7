"""What the screens are made of: widgets that draw lines from plain values. None of them reads a store or waits for anything."""
