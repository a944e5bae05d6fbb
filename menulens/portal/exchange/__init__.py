"""Labels from and to other tools; what menulens can't say of them is carried along and comes back."""
