"""Projects made of templates, and kept up with them.

variables   what a template asks for, and what answers fit
sandbox     Jinja2 in a process of its own, with limits: templates are written by strangers
rendering   that process
project     template and answers → the files of a project, and its record `.gati/template.json`
merging     three-way merge of lines
update      an earlier project to a newer template
hooks       commands that a template wants to be run
"""
