#%Module1.0
# wabun for environment-modules (Lmod reads it too).  `make install` puts it at PREFIX/share/modulefiles/wabun/VERSION:
#     module use PREFIX/share/modulefiles; module load wabun
# Copied to the site's own tree, it needs the prefix here:
set prefix ""
if {$prefix eq ""} {
  set here [file dirname $ModulesCurrentModulefile]
  set prefix [file dirname [file dirname [file dirname $here]]]
}

proc ModulesHelp {} {
  puts stderr "wabun trains and uses Japanese GPT-2 models on clusters of ordinary processors: wabun help, man wabun."
}
module-whatis "wabun: Japanese GPT-2 on clusters of processors"
conflict wabun

# The MPI that wabun was built with, by the site's name for it:
# module load openmpi

prepend-path PATH $prefix/bin
prepend-path MANPATH $prefix/share/man
append-path MANPATH ""
foreach lib [list $prefix/lib $prefix/lib64] {
  if {[file exists $lib/pkgconfig/wabun-tokenizer.pc]} {
    prepend-path PKG_CONFIG_PATH $lib/pkgconfig
    prepend-path LD_LIBRARY_PATH $lib
  }
}
