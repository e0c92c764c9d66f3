-- How many rows stand in one relation and not, just so, in the other; and how many the first has.
select
  (
    select count(*)
    from (
      (table {expected} except all table {found}) union all (table {found} except all table {expected})
    ) different
  ) as different,
  (select count(*) from {expected}) as compared
