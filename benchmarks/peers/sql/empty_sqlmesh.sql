-- empty_sqlmesh: neither the view, nor the tables behind it, nor SQLMesh's state. Binds: none.
-- Running it twice changes nothing.

drop schema if exists peer_sqlmesh, sqlmesh__peer_sqlmesh, sqlmesh cascade;
