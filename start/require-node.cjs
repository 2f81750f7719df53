/* eslint-disable no-var */
// Runs before anything else and is written in old syntax on purpose: it has to run on the Node it complains about.
'use strict';

var MIN_MAJOR = 20;
var MIN_MINOR = 19;

var parts = process.version.replace(/^v/, '').split('.');
var major = Number(parts[0]);
var minor = Number(parts[1]);

if (major < MIN_MAJOR || (major === MIN_MAJOR && minor < MIN_MINOR)) {
  console.error(
    'Perdure needs Node ' +
      MIN_MAJOR +
      '.' +
      MIN_MINOR +
      ' or newer; this is Node ' +
      process.version +
      '. See https://nodejs.org/',
  );
  process.exit(1);
}
