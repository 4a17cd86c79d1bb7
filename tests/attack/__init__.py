"""Attacks on the promises, from outside: the installed command, a real daemon, Git and processes, and an oracle of our own.

`oracle` owns what the steps themselves wrote, `house` a home and everything that it started; beside them is one module for each
kind of attack. None of it imports the product, and none of it believes the product's database.
"""
