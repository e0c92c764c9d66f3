-- Creates one database. Identifiers: name, owner, template.
create database {name} owner {owner} template {template} encoding 'UTF8'
