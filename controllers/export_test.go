package controllers

var SetDefaults = setDefaults
