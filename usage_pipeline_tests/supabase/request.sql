-- request: this transaction is a request of somebody with these claims. Binds: role, claims.
select
  set_config('role', %(role)s, true),
  set_config('request.jwt.claims', cast(%(claims)s as jsonb)::text, true)
