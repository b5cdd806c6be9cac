# Installs mtc, one executable, without administrator's rights: powershell -ExecutionPolicy Bypass -File install.ps1
#
#   MTC_INSTALL_DIR   where it goes; %LOCALAPPDATA%\Programs\mtc if unset
#   MTC_VERSION       which version, for example 0.1.0; the latest if unset
#   MTC_MIRROR        the address of a directory that holds the release's files, in place of GitHub's
#
# What is downloaded is held against its SHA-256 and run once before it takes the place of an older mtc. If anything is not as it should be,
# nothing is changed and the exit code is 1.
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
# Windows PowerShell draws its bar so often that a download takes ten times as long.
$ProgressPreference = 'SilentlyContinue'

# OWNER/NAME, which the release workflow fills in (scripts/release/installers.ts).
$repository = '@REPOSITORY@'

function Find-Target {
  # A shell for x86-64 on an arm64 machine has the machine's own architecture in the second variable.
  $machine = if ($env:PROCESSOR_ARCHITEW6432) { $env:PROCESSOR_ARCHITEW6432 } else { $env:PROCESSOR_ARCHITECTURE }
  switch ($machine) {
    'AMD64' { return 'x86_64-pc-windows-msvc' }
    'ARM64' { return 'aarch64-pc-windows-msvc' }
    default { throw "Cannot install for ${machine}: mtc is built for x86-64 and arm64 alone." }
  }
}

function Find-Address {
  if ($env:MTC_MIRROR) { return $env:MTC_MIRROR.TrimEnd('/') }
  if ($repository.StartsWith('@')) {
    throw 'Cannot download: this copy of the installer knows no address; set MTC_MIRROR to that of a release''s files.'
  }
  $releases = "https://github.com/$repository/releases"
  if ($env:MTC_VERSION) { return "$releases/download/v$($env:MTC_VERSION.TrimStart('v'))" }
  return "$releases/latest/download"
}

function Get-File([string]$name) {
  try {
    Invoke-WebRequest -UseBasicParsing -Uri "$address/$name" -OutFile (Join-Path $scratch $name)
  } catch {
    throw "Cannot download $address/$name ($($_.Exception.Message)); is there a network, such a release, and space for 150 MB?"
  }
}

function Assert-Sum([string]$archive) {
  $expected = ([System.IO.File]::ReadAllText((Join-Path $scratch "$archive.sha256")) -split '\s')[0]
  if ($expected -notmatch '^[0-9a-f]{64}$') {
    throw "Cannot verify ${archive}: $archive.sha256 holds no SHA-256; nothing was installed."
  }
  $found = (Get-FileHash -Algorithm SHA256 -LiteralPath (Join-Path $scratch $archive)).Hash.ToLowerInvariant()
  if ($found -ne $expected) {
    throw "Cannot install ${archive}: its SHA-256 should be $expected, it is $found; it is damaged or not the release's, try again."
  }
}

$scratch = $null
try {
  [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
  $target = Find-Target
  $address = Find-Address
  $directory = if ($env:MTC_INSTALL_DIR) { $env:MTC_INSTALL_DIR } else { Join-Path $env:LOCALAPPDATA 'Programs\mtc' }
  $scratch = Join-Path $directory ".mtc.$([System.IO.Path]::GetRandomFileName())"
  try {
    New-Item -ItemType Directory -Force -Path $scratch | Out-Null
  } catch {
    throw "Cannot write into $directory ($($_.Exception.Message)); set MTC_INSTALL_DIR to a directory that you may write to."
  }
  $archive = "mtc-$target.zip"
  Write-Host "Installing $archive from $address into $directory"
  Get-File "$archive.sha256"
  Get-File $archive
  Assert-Sum $archive
  Expand-Archive -LiteralPath (Join-Path $scratch $archive) -DestinationPath $scratch
  $version = & (Join-Path $scratch 'mtc.exe') --version | Select-Object -First 1
  if ($LASTEXITCODE -ne 0 -or -not $version) { throw 'Cannot run mtc on this system; nothing was installed.' }
  Move-Item -Force -LiteralPath (Join-Path $scratch 'mtc.exe') -Destination (Join-Path $directory 'mtc.exe')
  Write-Host "$version is installed: $(Join-Path $directory 'mtc.exe')"
  if (($env:PATH -split ';') -contains $directory) { Write-Host 'Next: mtc doctor' }
  else { Write-Host "$directory is not on PATH. Next: & '$(Join-Path $directory 'mtc.exe')' doctor" }
} catch {
  [Console]::Error.WriteLine("mtc's installer: $($_.Exception.Message)")
  exit 1
} finally {
  if ($scratch -and (Test-Path -LiteralPath $scratch)) { Remove-Item -Recurse -Force -LiteralPath $scratch }
}
