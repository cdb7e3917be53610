"""What each stage bought: the laptop model again and again, each time with one stage left out."""
