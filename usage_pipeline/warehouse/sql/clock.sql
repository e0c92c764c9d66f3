-- What time it is by the one clock; the machine that asks may disagree.
select usage_private.now()
